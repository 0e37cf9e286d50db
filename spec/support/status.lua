-- What the system tells of this process: `status "VmRSS"` (KiB), `status "Threads"`.
return function(field)
  local file <close> = assert(io.open "/proc/self/status")
  return tonumber(file:read "a":match(field .. ":%s*(%d+)"))
end
