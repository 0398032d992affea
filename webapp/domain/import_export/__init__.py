"""Files in and out: histories, people, uploads, the jobs that store them, exports."""
