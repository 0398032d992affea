import js from "@eslint/js";

const browser = ["document", "window", "navigator", "location", "history", "localStorage", "fetch", "console",
  "setTimeout", "clearTimeout", "addEventListener", "crypto", "indexedDB", "IDBKeyRange", "BroadcastChannel",
  "MessageChannel", "Response", "URL", "URLSearchParams", "AbortSignal", "TextEncoder", "CSS", "globalThis",
  "HTMLInputElement", "Intl"];

export default [
  js.configs.recommended,
  {
    files: ["static/roll_call/*.js"],
    languageOptions: {
      ecmaVersion: 2023,
      globals: Object.fromEntries(browser.map((name) => [name, "readonly"])),
    },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "max-lines-per-function": ["error", { max: 30, skipComments: true }],
      "no-shadow": "error",
      "prefer-const": "error",
      eqeqeq: "error",
    },
  },
];
