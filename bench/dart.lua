-- dart.lua
-- The benchmarks of the Dart SDK for its isolates (dart-lang/sdk, benchmarks/), done again, beside the figures that were
-- published for Dart 2.15 (dart-lang/sdk#46754; an Intel processor, not this machine). SendPort: a value to a port of
-- one's own and back from it; its floor reads the value and builds the same in another state, through the C API.
-- SendReceiveBytes: a string to another isolate and back. IsolateSpawn: from the call to the first instruction.
-- IsolateBaseOverhead: a chain in which each waits for the next (the SDK's is 10,000 long, as that of p8.lua).
-- IsolateRegExp: a pattern there, used, and back, five times. IsolateSendExitLatency and EventLoopLatencyJson: how late a
-- timer of a millisecond is while a list of ten million objects arrives, and while another isolate encodes and decodes
-- JSON; a tick that could not be is counted with its own lateness. Goal: no frame is missed, of 60 in a second.

local Isolate = require "isolate"
local frame = require "bench.frame"
local now = require "system".monotime

local dart = {title = "The benchmarks of the Dart SDK", sides = {}}
local sides = dart.sides

local values <const> = package.searchpath("bench.values", package.path)

local function value(name)
  return assert(loadfile(values))(name)
end

-- To a port of one's own, for so many milliseconds; the parts of it as details.
function sides.port(name, ms)
  local port <close> = Isolate.ReceivePort()
  local message, target = value(name), port.send_port
  local sending, receiving, n = 0, 0, 0
  local start = now()
  repeat
    local begin = now()
    target:send(message)
    local sent = now()
    port:receive()
    local received = now()
    sending, receiving, n = sending + sent - begin, receiving + received - sent, n + 1
  until n >= 3 and received - start > ms / 1000
  return (sending + receiving) / n, {{"send", sending / n}, {"receive", receiving / n}}
end

-- Over there: sends back what `fn` makes of each message.
local function answer(task)
  local port <close> = Isolate.ReceivePort()
  task.reply:send(port.send_port)
  for _, message in port:messages() do
    if message == "end" then break end
    if task.fn then task.fn(message) end
    task.reply:send(message)
  end
end

-- Seconds of `n` round trips of a message, the mean.
local function round_trips(n, message, fn)
  local port <close> = Isolate.ReceivePort()
  Isolate.spawn(answer, {reply = port.send_port, fn = fn})
  local other = port:receive()
  other:send(message)
  port:receive()
  local start = now()
  for _ = 1, n do
    other:send(message)
    port:receive()
  end
  local took = now() - start
  other:send "end"
  return took / n
end

function sides.bytes(size, n)
  return round_trips(tonumber(n), ("x"):rep(size))
end

-- Five patterns there and back.
function sides.patterns(n)
  return 5 * round_trips(5 * n, "^(%a-) b c.- ?(%b())$", function(pattern) return (("h"):rep(1000):find(pattern)) end)
end

-- From the call of `spawn` to the first instruction, the mean of `n`.
function sides.spawn(n)
  local port <close> = Isolate.ReceivePort()
  local reply, total = port.send_port, 0
  for i = 1, 20 + n do
    local start = now()
    Isolate.spawn(function() reply:send(require "system".monotime()) end)
    local there = port:receive()
    if i > 20 then total = total + there - start end
    Isolate.sleep(0.001)
  end
  return total / n
end

local function memory()
  local status <close> = assert(io.open "/proc/self/status")
  return 1024 * tonumber(status:read "a":match "VmRSS:%s*(%d+)")
end

-- Over there: starts the next and waits for its end; the last one says when it was there, and the memory then.
local function be_link(task)
  if task.left == 1 then
    task.reply:send {time = now(), memory = memory()}
  else
    Isolate.spawn(be_link, {left = task.left - 1, reply = task.reply}):join()
  end
end

-- Bytes for each of `n` isolates in a chain, seconds to start them, and to start and end them.
local function chain(n)
  n = tonumber(n)
  local port <close> = Isolate.ReceivePort()
  local before, start = memory(), now()
  local first = Isolate.spawn(be_link, {left = n, reply = port.send_port})
  local last = port:receive()
  first:join()
  return (last.memory - before) / n, (last.time - start) / n, (now() - start) / n
end

function sides.chain_memory(n)
  return (chain(n))
end

function sides.chain_latency(n)
  local _, to_start, to_finish = chain(n)
  return to_start, {{"finish", to_finish}}
end

-- A Future of the sorted lateness of `count` ticks of a millisecond; `work()` is done at each.
local function measure_lateness(count, work)
  local completer, late, last = Isolate.Completer(), {}, now()
  local function tick()
    local time = now()
    while #late < count and last < time - 0.001 do
      late[#late + 1] = time - last - 0.001
      last = last + 0.001
    end
    if work then work() end
    if #late < count then
      last = time
      Isolate.Timer(0.001, tick)
    else
      table.sort(late)
      completer:complete(late)
    end
  end
  Isolate.Timer(0.001, tick)
  return completer.future
end

-- The longest, and as details what so many of a hundred are below.
local function percentiles(late)
  local details = {}
  for i, part in ipairs {50, 90, 95, 99} do details[i] = {part .. " %", late[1 + part * #late // 100]} end
  return late[#late], details
end

-- While a list of `n` objects arrives as the last message of an isolate.
function sides.exit_latency(n, ticks)
  n = tonumber(n)
  local lateness = measure_lateness(tonumber(ticks), function()
    for _ = 1, 32 do ("\0"):rep(32 * 1024) end
  end)
  local port <close> = Isolate.ReceivePort()
  Isolate.spawn(function(task)
    local list = {}
    for i = 1, task.n do list[i] = {} end
    Isolate.exit(task.reply, list)
  end, {n = n, reply = port.send_port})
  local list = port:receive()
  assert(#list == n)
  return percentiles(lateness:await())
end

-- While another isolate decodes and encodes JSON.
function sides.json_latency(ticks)
  local text = require "cjson".encode(value "json5KB")
  local busy = Isolate.spawn(function(json)
    local cjson = require "cjson"
    while true do cjson.encode(cjson.decode(json)) end
  end, text)
  local late = measure_lateness(tonumber(ticks)):await()
  busy:kill(Isolate.immediate)
  return percentiles(late)
end

-- While values of 500 KB arrive, fifty in a second.
function sides.arrival_latency(ticks)
  local port <const> = Isolate.ReceivePort()
  local sender = Isolate.spawn(function(task)
    while true do
      task.reply:send(task.message)
      Isolate.sleep(0.02)
    end
  end, {reply = port.send_port, message = value "json500KB"})
  port:listen(function() end)
  local late = measure_lateness(tonumber(ticks)):await()
  sender:kill(Isolate.immediate)
  port:close()
  return percentiles(late)
end

local function port_row(title, name, times, unit, others)
  return {
    "SendPort: " .. title, unit = unit, ours = "dart port " .. name .. " 200",
    floor = ("floor value '%s' %s %d"):format(values:gsub("'", "'\\''"), name, times), others = others,
  }
end

local function bytes_row(title, size, n, unit, per_second)
  return {
    "SendReceiveBytes: " .. title, unit = unit, ours = ("dart bytes %d %d"):format(size, n),
    others = {{"Dart, published", 1 / per_second}},
  }
end

-- Dart 2.15 receives what its own group of isolates sent in "single-digit microseconds", whatever the size.
local receives <const> = {{"receive, Dart, published, less than", 10e-6}}

-- One frame of a screen.
local frame_time <const> = frame.no_more_than(1 / 60, "16.7 ms")

dart.rows = {
  {"SendPort: an integer", unit = "us", ours = "dart port nop 200"},
  port_row("JSON, 400 B", "json400B", 10000, "us", receives),
  port_row("JSON, 5 KB", "json5KB", 2000, "us", receives),
  port_row("JSON, 50 KB", "json50KB", 200, "us", receives),
  port_row("JSON, 500 KB", "json500KB", 20, "ms", receives),
  port_row("JSON, 5 MB", "json5MB", 3, "ms", receives),
  port_row("tree, depth 2", "tree2", 10000, "us"),
  port_row("tree, depth 6", "tree6", 2000, "us"),
  port_row("tree, depth 10", "tree10", 100, "us"),
  port_row("tree, depth 14", "tree14", 5, "ms"),
  bytes_row("1 KB", 1000, 20000, "us", 80447),
  bytes_row("10 KB", 10000, 10000, "us", 62362),
  bytes_row("100 KB", 100000, 2000, "us", 25177),
  bytes_row("10 MB", 10000000, 10, "ms", 56),
  bytes_row("100 MB", 100000000, 3, "ms", 7.3),
  {
    "IsolateSpawn", unit = "us", ours = "dart spawn 200", floor = "floor thread 500",
    others = {{"Dart AOT, published", 260e-6}, {"Dart JIT", 574e-6}},
  },
  {
    "IsolateBaseOverhead: 2,000 nested, memory", unit = "kib", ours = "dart chain_memory 2000", rounds = 3,
    floor = "floor parked 2000",
    others = {{"Dart, by its documents", 30 * 1024}, {"Dart AOT, a first isolate, published", 1.8e6}},
  },
  {"IsolateBaseOverhead: until started", unit = "us", ours = "dart chain_latency 2000", rounds = 3},
  {"IsolateRegExp: five patterns", unit = "us", ours = "dart patterns 2000"},
  {
    "IsolateSendExitLatency: the latest tick", unit = "ms", ours = "dart exit_latency 10000000 4000", rounds = 1,
    goal = frame_time,
  },
  {
    "EventLoopLatencyJson: the latest tick", unit = "ms", ours = "dart json_latency 1500", rounds = 3, goal = frame_time,
  },
  {
    "  while 500 KB arrive, 50 times a second", unit = "ms", ours = "dart arrival_latency 1500", rounds = 3,
    goal = frame_time,
  },
}

return dart
