-- wrk script: marks the next person present with each request. IDS: file of ids, OFFSET: where to begin,
-- DOOR: "api" (TOKEN) or "form" (COOKIE, CSRF, CAMP: the roll call's HTMX route).
local ids, n = {}, tonumber(os.getenv("OFFSET") or "0")
for line in io.lines(os.getenv("IDS")) do ids[#ids + 1] = line end
local form = os.getenv("DOOR") == "form"
local headers = {}
if form then
  headers["Cookie"] = os.getenv("COOKIE")
  headers["X-CSRFToken"] = os.getenv("CSRF")
  headers["HX-Request"] = "true"
  headers["Content-Type"] = "application/x-www-form-urlencoded"
else
  headers["Authorization"] = "Bearer " .. os.getenv("TOKEN")
  headers["Content-Type"] = "application/json"
end

function request()
  n = n + 1
  local id = ids[(n - 1) % #ids + 1]
  if form then
    return wrk.format("POST", "/roll-call/" .. os.getenv("CAMP") .. "/people/" .. id, headers, "state=present")
  end
  return wrk.format("PUT", "/api/v1/medical-camps/camp/" .. id .. "/attendance", headers, '{"logout": false, "camp_role": "volunteer"}')
end
