-- log_report.lua: a web server's log of 200 MB, made on first use, summed up in chunks of 4 MB on all cores.
-- A job gets two numbers, where its chunk begins and ends; each worker reads its part of the file itself.
-- Run it:  lua5.4 examples/log_report.lua       (LOG_MB=10 in the environment: a smaller file)
local Isolate = require "isolate"
local now     = require "system".monotime

local CHUNK = 4 * 1024 * 1024

local make_log, chunks_of, report, add                 -- below

local function main()
  local path, size = make_log(tonumber(os.getenv "LOG_MB") or 200)
  local chunks = chunks_of(size)

  local start, alone = now(), {}
  for _, chunk in ipairs(chunks) do add(alone, report(path, chunk)) end
  local one = now() - start

  local pool <close> = Isolate.Pool()
  start = now()
  local sum, jobs = {}, {}
  for i, chunk in ipairs(chunks) do jobs[i] = pool:run(report, path, chunk) end
  for _, job in ipairs(jobs) do add(sum, job:await()) end
  local all = now() - start

  assert(sum.requests == alone.requests and sum.bytes == alone.bytes)
  print(("%d requests, %.1f GB sent, %d errors; slowest page: %s")
    :format(sum.requests, sum.bytes / 1e9, sum.errors, sum.slowest))
  print(("one core %.2f s, pool of %d %.2f s: %.2f times as fast"):format(one, Isolate.processors(), all, one / all))
end

-- The parts of a file of that size.
function chunks_of(size)
  local list = {}
  for from = 0, size - 1, CHUNK do list[#list + 1] = { from = from, to = math.min(from + CHUNK, size) } end
  return list
end

-- Runs in a worker. A line belongs to the chunk where it begins.
function report(path, chunk)
  local file <close> = assert(io.open(path, "rb"))
  file:seek("set", math.max(0, chunk.from - 1))
  if chunk.from > 0 then file:read "L" end             -- the end of a line of the chunk before
  local left = chunk.to - file:seek()
  local text = left > 0 and file:read(left) .. (file:read "L" or "") or ""
  local sum = { requests = 0, bytes = 0, errors = 0, worst = 0 }
  for page, status, bytes, ms in text:gmatch "GET (%S+) (%d+) (%d+) (%d+)\n" do
    sum.requests, sum.bytes = sum.requests + 1, sum.bytes + bytes
    if status >= "500" then sum.errors = sum.errors + 1 end
    ms = math.tointeger(ms)
    if ms > sum.worst then sum.worst, sum.slowest = ms, page end
  end
  return sum
end

function add(sum, more)
  for _, key in ipairs { "requests", "bytes", "errors" } do sum[key] = (sum[key] or 0) + more[key] end
  if more.worst > (sum.worst or 0) then sum.worst, sum.slowest = more.worst, more.slowest end
end

-- The path of a log of that many megabytes, in the user's cache, and its size.
function make_log(megabytes)
  local cache = os.getenv "XDG_CACHE_HOME" or os.getenv "HOME" .. "/.cache"
  local path = ("%s/isolate-log-%d.txt"):format(cache, megabytes)
  local known <close> = io.open(path, "rb")
  if known then return path, known:seek "end" end
  os.execute("mkdir -p '" .. cache .. "'")
  local random = 1
  local function pick(n)                               -- the same log everywhere
    random = (random * 1103515245 + 12345) % 2147483648
    return random // 65536 % n
  end
  local lines = {}
  for i = 1, 20000 do
    lines[i] = ("10.0.%d.%d - GET /page/%d %d %d %d\n"):format(pick(256), pick(256), pick(500),
      pick(50) == 0 and 503 or 200, pick(60000), pick(900))
  end
  local block = table.concat(lines)
  local file <close> = assert(io.open(path .. ".new", "wb"))
  for _ = 1, megabytes * 1e6 // #block + 1 do file:write(block) end
  local size = file:seek()
  file:close()
  assert(os.rename(path .. ".new", path))
  return path, size
end

main()

--[[ Output:
<n> requests, <n> GB sent, <n> errors; slowest page: /page/<n>
one core <n> s, pool of <n> <n> s: <n> times as fast
]]
