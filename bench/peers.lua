-- peers.lua
-- What other libraries with threads take for the same work, as far as they can do it: luv and cqueues, as Debian
-- packages them. Both give a thread a Lua state of its own; bytes go through a socket, values as JSON.

local frame = require "bench.frame"
local now = require "system".monotime

local peers = {sides = {}}
local sides = peers.sides

-- The records of p4.lua. It is sent to other threads as code: it may use nothing but its argument.
local function make_records(n)
  local records = {}
  for i = 1, n do
    records[i] = {id = i, name = "record " .. i, value = i / 7, tags = {"a" .. i % 100, "b" .. i % 10}}
  end
  return records
end

-- luv: a thread that does nothing, joined.
function sides.luv_start(n)
  local uv = require "luv"
  local start = now()
  for _ = 1, n do uv.new_thread(function() end):join() end
  return (now() - start) / n
end

-- A thread that runs `body(fd, argument)`, and a pipe to it.
local function luv_thread(body, argument)
  local uv = require "luv"
  local fds = uv.socketpair("stream", nil, {nonblock = true}, {nonblock = true})
  local thread = uv.new_thread(body, fds[2], argument)
  local pipe = uv.new_pipe()
  pipe:open(fds[1])
  return thread, pipe, uv
end

-- Over there: sends back what comes. It is sent as code, too.
local function luv_echo(fd)
  local there = require "luv"
  local mine = there.new_pipe()
  mine:open(fd)
  mine:read_start(function(_, data)
    if data then mine:write(data) else mine:close() end
  end)
  there.run()
end

-- luv: a line there and back.
function sides.luv_round_trip(n)
  local thread, pipe, uv = luv_thread(luv_echo)
  local count, start = 0, now()
  pipe:read_start(function()
    count = count + 1
    if count < tonumber(n) then pipe:write "42\n" else pipe:close() end
  end)
  pipe:write "42\n"
  uv.run()
  local took = now() - start
  thread:join()
  return took / n
end

-- luv: records as JSON, through the pipe.
function sides.luv_records(n)
  local json = require "cjson"
  local thread, pipe, uv = luv_thread(function(fd, task)
    local there, encode = require "luv", require "cjson".encode
    local clock = require "system".monotime
    local make, count = task:match "^(.*) (%d+)$"
    local records = load(make)(tonumber(count))
    collectgarbage()
    local mine = there.new_pipe()
    mine:open(fd)
    local start = clock()
    mine:write(encode {start = start, records = records})
    mine:shutdown(function() mine:close() end)
    there.run()
  end, string.dump(make_records) .. " " .. n)
  local parts = {}
  pipe:read_start(function(_, data)
    if data then parts[#parts + 1] = data else pipe:close() end
  end)
  uv.run()
  local message = json.decode(table.concat(parts))
  local took = now() - message.start
  thread:join()
  return took
end

-- A thread of cqueues that runs `body(connection, ...)`, and the connection to it, both fully buffered.
local function cqueues_thread(body, ...)
  local thread, connection = require "cqueues.thread".start(body, ...)
  connection:setmode("b", "bf")
  return thread, connection
end

-- cqueues: a thread that does nothing, joined.
function sides.cqueues_start(n)
  local start = now()
  for _ = 1, n do
    local thread, connection = cqueues_thread(function() end)
    thread:join()
    connection:close()
  end
  return (now() - start) / n
end

-- Over there: sends back each line.
local function cqueues_echo(mine)
  mine:setmode("b", "bf")
  for line in mine:lines() do
    mine:write(line, "\n")
    mine:flush()
  end
end

-- cqueues: a line there and back.
function sides.cqueues_round_trip(n)
  local thread, connection = cqueues_thread(cqueues_echo)
  local start = now()
  for _ = 1, n do
    connection:write "42\n"
    connection:flush()
    connection:read "*l"
  end
  local took = now() - start
  connection:shutdown "w"
  thread:join()
  return took / n
end

-- Over there: counts lines, decodes them if asked to, and answers after so many.
local function count_lines(mine, count, decoding)
  mine:setmode("b", "bf")
  local decode = decoding == "decode" and require "cjson".decode or function() end
  local left = tonumber(count)
  for line in mine:lines() do
    decode(line)
    left = left - 1
    if left == 0 then break end
  end
  mine:write "done\n"
  mine:flush()
end

-- Seconds per line; `make(i)` is each line.
local function cqueues_stream(n, decoding, make)
  local thread, connection = cqueues_thread(count_lines, n, decoding)
  local start = now()
  for i = 1, n do connection:write(make(i), "\n") end
  connection:flush()
  assert(connection:read "*l" == "done")
  local took = now() - start
  thread:join()
  return took / n
end

-- cqueues: numbers as lines, one way.
function sides.cqueues_lines(n)
  return cqueues_stream(n, "", function(i) return i end)
end

-- cqueues: tables as lines of JSON, one way.
function sides.cqueues_tables(n)
  local encode = require "cjson".encode
  return cqueues_stream(n, "decode", function(i) return encode {id = i, name = "some name", ok = true} end)
end

-- cqueues: records as JSON.
function sides.cqueues_records(n)
  local decode = require "cjson".decode
  local thread, connection = cqueues_thread(function(mine, make, count)
    local encode, clock = require "cjson".encode, require "system".monotime
    local records = load(make)(tonumber(count))
    collectgarbage()
    mine:setmode("b", "bf")
    local start = clock()
    mine:write(encode {start = start, records = records})
    mine:flush()
    mine:shutdown "w"
  end, string.dump(make_records), n)
  local message = decode(connection:read "*a")
  local took = now() - message.start
  thread:join()
  return took
end

-- luv: a string of so many MiB from a thread to the loop here, the median of five.
function sides.luv_string(mib)
  local uv = require "luv"
  local received, times = 0, {}
  local wake
  wake = uv.new_async(function(text, start)
    received = received + 1
    times[received] = now() - start
    assert(#text == tonumber(mib) * 1024 * 1024)
    if received == 5 then wake:close() end
    collectgarbage()
  end)
  local thread = uv.new_thread(function(there, size)
    local clock, sleep = require "system".monotime, require "system".sleep
    local text = ("x"):rep(size * 1024 * 1024)
    for _ = 1, 5 do
      there:send(text, clock())
      sleep(size / 200)  -- until it has been received: messages for one handle may be merged
    end
  end, wake, tonumber(mib))
  uv.run()
  thread:join()
  return frame.median(times)
end

-- cqueues: a string of so many MiB from a thread, the median of five.
function sides.cqueues_string(mib)
  local times = {}
  local thread, connection = cqueues_thread(function(mine, size)
    local clock = require "system".monotime
    local text = ("x"):rep(size * 1024 * 1024)
    mine:setmode("b", "bf")
    for _ = 1, 5 do
      mine:read "*l"
      mine:write(clock(), "\n", text)
      mine:flush()
    end
  end, tonumber(mib))
  for i = 1, 5 do
    connection:write "next\n"
    connection:flush()
    local start = tonumber(connection:read "*l")
    assert(#connection:read(tonumber(mib) * 1024 * 1024) == tonumber(mib) * 1024 * 1024)
    times[i] = now() - start
    collectgarbage()
  end
  thread:join()
  return frame.median(times)
end

local function memory()
  return 1024 * frame.status "VmRSS"
end

-- luv: the memory of a thread that has answered a message and waits for another in its loop.
function sides.luv_idle(n)
  local uv = require "luv"
  local before, pipes, threads = memory(), {}, {}
  for i = 1, n do
    threads[i], pipes[i] = luv_thread(luv_echo)
    pipes[i]:read_start(function() pipes[i]:read_stop() end)
    pipes[i]:write "first\n"
    uv.run()
  end
  local each = (memory() - before) / n
  for i = 1, n do pipes[i]:close() end
  uv.run()
  for i = 1, n do threads[i]:join() end
  return each
end

-- cqueues: the same.
function sides.cqueues_idle(n)
  local before, connections, threads = memory(), {}, {}
  for i = 1, n do
    threads[i], connections[i] = cqueues_thread(cqueues_echo)
    connections[i]:write "first\n"
    connections[i]:flush()
    connections[i]:read "*l"
  end
  local each = (memory() - before) / n
  for i = 1, n do
    connections[i]:shutdown "w"
    threads[i]:join()
  end
  return each
end

-- luv: the longest gap between two ticks while a file of JSON is parsed in a thread, sent as JSON, and parsed again.
function sides.luv_photos(path)
  local json = require "cjson"
  local thread, pipe, uv = luv_thread(function(fd, name)
    local there, codec = require "luv", require "cjson"
    local file = assert(io.open(name, "rb"))
    local list = codec.decode(file:read "a")
    file:close()
    local mine = there.new_pipe()
    mine:open(fd)
    mine:write(codec.encode(list))
    mine:shutdown(function() mine:close() end)
    there.run()
  end, path)
  local last, longest, parts, timer = now(), 0, {}, uv.new_timer()
  local function tick()
    local time = now()
    last, longest = time, math.max(longest, time - last)
  end
  timer:start(1, 1, tick)
  pipe:read_start(function(_, data)
    if data then
      parts[#parts + 1] = data
    else
      assert(#json.decode(table.concat(parts)) > 0)
      tick()
      pipe:close()
      timer:close()
    end
  end)
  uv.run()
  thread:join()
  return longest
end

-- luv: the work of p7.lua in two threads.
function sides.luv_two_workers(n)
  local uv, work = require "luv", require "bench.p7".work
  local function compute(code, size) load(code)(size) end
  local start = now()
  local one, other = uv.new_thread(compute, work, tonumber(n)), uv.new_thread(compute, work, tonumber(n))
  one:join()
  other:join()
  return now() - start
end

-- cqueues: the same.
function sides.cqueues_two_workers(n)
  local work = require "bench.p7".work
  local function compute(_, code, size) load(code)(size) end
  local start = now()
  local one, one_pipe = cqueues_thread(compute, work, tonumber(n))
  local other, other_pipe = cqueues_thread(compute, work, tonumber(n))
  one:join()
  other:join()
  local took = now() - start
  one_pipe:close()
  other_pipe:close()
  return took
end

return peers
