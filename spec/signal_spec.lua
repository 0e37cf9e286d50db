-- signal_spec.lua
-- The signal that a kill uses: another one, or none (pain 4). It is chosen for
-- the whole process, so each case is a child process under a guard.

local helper = require "spec.helper"

local function number_of(name)
  local pipe <close> = assert(io.popen("env kill -l " .. name))
  return pipe:read "n"
end

local URG, USR1 = number_of "URG", number_of "USR1"

-- The code with FIFO replaced by the path of a fifo that nobody else opens.
local function with_fifo(code)
  if not code:find "FIFO" then return code end
  local path = helper.tempdir() .. "/never"
  assert(os.execute("mkfifo " .. path))
  return (code:gsub("FIFO", function() return ("%q"):format(path) end))
end

local function run(code)
  local result = helper.lua(with_fifo(code), {guard = 10})
  assert(not result.timed_out, "the guard ended the program; stdout: " .. result.stdout .. result.stderr)
  assert(not result.signal, "the program died of signal " .. tostring(result.signal))
  return result
end

-- A program that chooses `signal`, kills an isolate with this body, and goes on.
local function killing(signal, body, opts)
  return ([[
    local Isolate = require "isolate"
    assert(Isolate.stop_signal(%s) == %s)
    local port = Isolate.ReceivePort()
    local iso = Isolate.spawn(function(ready)
      %s
    end, port.send_port, {name = "stubborn", %s})
    assert(port:receive(8) == "on")
    Isolate.sleep(0.03)
    iso:kill(Isolate.immediate)
    print(iso:join(8))
    while true do
      local message, why = port:receive(0)
      if why then break end
      print(message)
    end
    print(Isolate.run(function() return 6 * 7 end):await(8))
  ]]):format(signal, signal, body, opts or "")
end

local function check(signal, row)
  local result = run(killing(signal, row[2], row.opts))
  assert.are.equal("true\n" .. (row.says or "") .. "42\n", result.stdout)
  assert.are.equal("", result.stderr)
  assert.are.equal(0, result.status)
end

-- Ends of these need no signal: they allocate, or wait in our functions.
local reachable = {
  {"allocates tables", [[ ready:send "on" while true do local _ = {} end ]]},
  {"allocates in pcall in pcall", [[
    ready:send "on"
    while true do pcall(pcall, function() while true do local _ = {} end end) end
  ]]},
  {"makes strings", [[ ready:send "on" local n = 0 while true do n = n + 1 local _ = "n" .. n end ]]},
  {"makes closures in a coroutine", [[
    coroutine.wrap(function()
      ready:send "on"
      while true do local x = 1 local _ = function() return x end end
    end)()
  ]]},
  {"makes coroutines", [[
    ready:send "on"
    while true do coroutine.wrap(function() coroutine.yield() end)() end
  ]]},
  {"makes coroutines that loop 10 deep", [[
    local function nest(depth)
      if depth == 0 then ready:send "on" while true do local _ = {} end end
      while true do coroutine.resume(coroutine.create(nest), depth - 1) end
    end
    nest(10)
  ]]},
  {"allocates among 10,000 coroutines", [[
    local list = {}
    for i = 1, 10000 do
      list[i] = coroutine.create(function() while true do coroutine.yield() end end)
      coroutine.resume(list[i])
    end
    ready:send "on"
    while #list > 0 do local _ = {} end
  ]]},
  {"allocates in a comparator of table.sort", [[
    table.sort({2, 1}, function() ready:send "on" while true do local _ = {} end end)
  ]]},
  {"allocates with the collector stopped", [[
    collectgarbage "stop"
    ready:send "on"
    while true do pcall(function() for _ = 1, 100 do local _ = {} end end) end
  ]]},
  {"allocates in the generational mode", [[
    collectgarbage "generational"
    ready:send "on"
    local t
    while true do t = {coroutine.create(function() return t end)} end
  ]]},
  {"allocates under a hook of its own that sets itself again", [[
    local function hook() debug.sethook(hook, "l", 1) end
    hook()
    ready:send "on"
    while true do pcall(function()
      while true do
        local _ = {}
      end
    end) end
  ]]},
  {"overflows its stack again and again", [[
    ready:send "on"
    local function f() f() end
    while true do pcall(f) end
  ]]},
  {"sends in a loop", [[
    local inbox = Isolate.ReceivePort()
    ready:send "on"
    while true do inbox.send_port:send {1} inbox:receive() end
  ]]},
  {"decodes large messages in a loop", [[
    local inbox, list = Isolate.ReceivePort(), {}
    for i = 1, 50000 do list[i] = {i} end
    inbox.send_port:send(list)
    ready:send "on"
    while true do pcall(function() inbox.send_port:send((inbox:receive())) end) end
  ]]},
  {"has a __close handler that has the grace", [[
    local t <close> = setmetatable({}, {__close = function()
      local n = 0
      for i = 1, 100000 do n = n + #{i} end
      ready:send("closed " .. n)
    end})
    ready:send "on"
    while true do local _ = {} end
  ]], opts = "grace = 5", says = "closed 100000\n"},
  {"has a __close handler that never ends", [[
    local t <close> = setmetatable({}, {__close = function() while true do end end})
    ready:send "on"
    while true do local _ = {} end
  ]]},
  {"waits in receive", [[ ready:send "on" Isolate.ReceivePort():receive() ]]},
  {"waits in sleep", [[ ready:send "on" Isolate.sleep(1000) ]]},
  {"waits in sleep, in pcall, in a loop", [[ ready:send "on" while true do pcall(Isolate.sleep, 1000) end ]]},
  {"waits in await", [[ ready:send "on" Isolate.Future.delayed(1000):await() ]]},
  {"waits in join", [[ ready:send "on" Isolate.current:join() ]]},
  {"waits in its loop", [[ ready:send "on" Isolate.ReceivePort():listen(print) ]]},
}

-- These do.
local out_of_reach = {
  {"loops without allocating", [[ ready:send "on" while true do end ]]},
  {"loops in pcall without allocating", [[
    local function loop() while true do end end
    ready:send "on"
    while true do pcall(loop) end
  ]]},
  {"loops in a coroutine without allocating", [[
    coroutine.wrap(function() ready:send "on" while true do end end)()
  ]]},
  {"reads for ever", [[ local file = io.open(FIFO, "r+") ready:send "on" file:read() ]]},
  {"waits for a command", [[ ready:send "on" os.execute "exec sleep 12 >/dev/null 2>&1" ]]},
}

describe("Isolate.stop_signal", function()
  it("is SIGURG if nobody chose, and returns what is chosen", function()
    local result = run(([[
      local Isolate = require "isolate"
      print(Isolate.stop_signal() == %d, Isolate.stop_signal(%d) == %d, Isolate.stop_signal() == %d)
      print(Isolate.stop_signal(false), Isolate.stop_signal(), Isolate.stop_signal(nil))
    ]]):format(URG, USR1, USR1, USR1))
    assert.are.equal("true\ttrue\ttrue\nfalse\tfalse\tfalse\n", result.stdout)
  end)

  it("raises for what is no signal, or cannot be used", function()
    local result = run(([[
      local Isolate = require "isolate"
      for _, wrong in ipairs {-1, 1 << 40, 100000, %d, %d, %d, "URG", "10", 2.5, true, {}} do
        local ok, why = pcall(Isolate.stop_signal, wrong)
        print(ok, (why:gsub("0x%%x+", "")))
      end
      assert(Isolate.stop_signal() == %d)
    ]]):format(number_of "KILL", number_of "STOP", number_of "SEGV", URG))
    local wrong = "bad argument #1 to 'stop_signal' "
    local expected = {}
    for _, signal in ipairs {-1, 1 << 40, 100000, number_of "KILL", number_of "STOP", number_of "SEGV"} do
      expected[#expected + 1] = ("false\t%s(signal %d cannot be used)\n"):format(wrong, signal)
    end
    for _, kind in ipairs {"string", "string", "number", "boolean", "table"} do
      expected[#expected + 1] = ("false\t%s(number of a signal, or false expected, got %s)\n"):format(wrong, kind)
    end
    assert.are.equal(table.concat(expected), result.stdout)
  end)

  it("is for isolates that are started afterwards", function()
    local result = run(([[
      local Isolate = require "isolate"
      local port = Isolate.ReceivePort()
      local list = {}
      for i, signal in ipairs {%d, %d, false, %d} do
        Isolate.run(Isolate.stop_signal, signal):await(8)
        list[i] = Isolate.spawn(function(ready)
          ready:send "on"
          while true do pcall(function() if not signal then local _ = {} end end) end
        end, port.send_port)
      end
      for _ = 1, 4 do port:receive(8) end
      for i = 1, 4 do list[i]:kill(Isolate.immediate) end
      for i = 1, 4 do print(list[i]:join(8)) end
    ]]):format(URG, USR1, USR1))
    assert.are.equal(("true\n"):rep(4), result.stdout)
    assert.are.equal("", result.stderr)
  end)

  -- The signals that the process catches, as Linux tells them.
  it("is caught from the first kill on, and no other is", function()
    if not io.open "/proc/self/status" then return pending "needs Linux" end
    local result = run(([[
      local Isolate = require "isolate"
      local function caught(signal)
        local text = io.open "/proc/self/status":read "a":match "SigCgt:%%s*(%%x+)"
        return tonumber(text, 16) >> signal - 1 & 1
      end
      print(caught(%d), caught(%d))
      Isolate.stop_signal(%d)
      local iso = Isolate.spawn(Isolate.sleep, 60)
      print(caught(%d), caught(%d))
      iso:kill(Isolate.immediate)
      print(iso:join(8), caught(%d), caught(%d))
    ]]):format(URG, USR1, USR1, URG, USR1, URG, USR1))
    assert.are.equal("0\t0\n0\t0\ntrue\t0\t1\n", result.stdout)
  end)

  it("of false catches none, ever", function()
    if not io.open "/proc/self/status" then return pending "needs Linux" end
    local result = run [[
      local Isolate = require "isolate"
      local function caught() -- of the first 31; libc uses others
        return tonumber(io.open "/proc/self/status":read "a":match "SigCgt:%s*(%x+)", 16) & 0x7fffffff
      end
      local before = caught()
      assert(Isolate.stop_signal(0) == false)
      Isolate.stop_signal(false)
      local iso = Isolate.spawn(function() while true do local _ = {} end end)
      iso:kill(Isolate.immediate)
      print(iso:join(8), caught() == before)
    ]]
    assert.are.equal("true\ttrue\n", result.stdout)
  end)
end)

describe("with another signal #signal, kill(Isolate.immediate) ends an isolate that", function()
  for _, row in ipairs(out_of_reach) do
    it(row[1] .. " (pain 4)", function() check(USR1, row) end)
  end
end)

describe("without a signal #signal, kill(Isolate.immediate) ends an isolate that", function()
  for _, row in ipairs(reachable) do
    it(row[1] .. " (pain 4)", function() check("false", row) end)
  end
end)

describe("without a signal #signal, an isolate is abandoned at the end of the program if it", function()
  for _, row in ipairs(out_of_reach) do
    it(row[1] .. " (pain 4)", function()
      local result = run(killing("false", row[2]):gsub("join%(8%)", "join(0.1)") .. "\nos.exit(3, true)")
      assert.are.equal("nil\ttimeout\n42\n", result.stdout)
      assert.are.equal("isolate 'stubborn' does not stop (in a long C call?): abandoned\n", result.stderr)
      assert.are.equal(3, result.status)
    end)
  end
end)
