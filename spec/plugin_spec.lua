-- plugin_spec.lua
-- A host that runs scripts of strangers, one after the other and side by side,
-- for days: whatever they do, nothing is left of them (pains 3, 4, 23, 39).

local helper = require "spec.helper"

-- ISOLATE_STRESS=1 runs a thousand scripts.
local SCRIPTS = math.max(20, 1000 * helper.stress) // 1 | 0

-- What each script does; those that never end are stopped. The last column is
-- what comes of it.
local PROGRAM = [[
local Isolate = require "isolate"
local status = require "spec.support.status"

local scripts = {
  {"return 6 * 7", "42"},
  {"return = 1", "syntax"},
  {"local t return t.x", "nil value"},
  {"error(setmetatable({}, {__tostring = function() while true do end end}))", "not done"},
  {"while true do end", "not done"},
  {"while true do pcall(function() while true do end end) end", "not done"},
  {"while true do xpcall(function() while true do end end, function() while true do end end) end", "not done"},
  {"while true do coroutine.wrap(function() while true do end end)() end", "not done"},
  {"local s = 'x' while true do s = s .. s end", "not enough memory"},
  {"while true do pcall(function() local s = 'x' while true do s = s .. s end end) end", "not done"},
  {"os.exit(1)", "without result"},
  {"while true do print('chatter') end", "too much"},
  {"while true do pcall(print, 'chatter') end", "not done"},
  {"local t <close> = setmetatable({}, {__close = function() while true do end end}) while true do end", "not done"},
  {"setmetatable({}, {__gc = function() error 'in a finalizer' end}) return 1", "1"},
  {"debug.sethook(function() debug.sethook() end, '', 1) while true do end", "not done"},
  {"for i = 1, 1000 do coroutine.resume(coroutine.create(coroutine.yield)) end return 2", "2"},
  {"io.open('/dev/null') io.popen('exec true') return 3", "3"},
  {"io.popen('exec sleep 9 2>/dev/null'):read 'a'", "not done"},
  {"os.execute 'exec sleep 9 >/dev/null 2>&1'", "not done"},
}

local function play(job)
  local lines = 0
  function print(text)
    lines = lines + 1
    if lines > 5 then error "too much" end
    job.screen:send(text)
  end
  return tostring(assert(load(job.source, "=script"))())
end

local function usage()
  local pipe <close> = io.popen "ls /proc/$PPID/fd | wc -l"
  return {
    threads = status "Threads",
    memory = status "VmRSS",
    descriptors = pipe:read "n",
    isolates = #Isolate.list(),
  }
end

-- Waits until nothing is left, and tells what is.
local function settled()
  local now = usage()
  for _ = 1, 500 do
    if now.threads == 1 and now.isolates == 1 then break end
    Isolate.sleep(0.01)
    collectgarbage()
    now = usage()
  end
  return now
end

local function play_all(from, to)
  local screen <close> = Isolate.ReceivePort()
  for first = from, to, 4 do -- four side by side
    local running = {}
    for i = first, math.min(first + 3, to) do
      local script = scripts[i % #scripts + 1]
      running[#running + 1] = {script, Isolate.compute(play, {source = script[1], screen = screen.send_port},
        {memory_limit = 2 << 20, timeout = SECONDS, grace = 0.01})}
    end
    for _, it in ipairs(running) do
      local ok, result = pcall(it[2].await, it[2])
      local text = ok and result or result.message
      local expected = it[1][2]
      if not (text:find(expected, 1, true) or expected == "syntax" and text:find("unexpected symbol", 1, true)
        or text:find("not done", 1, true)) then
        error(it[1][1] .. ": " .. text)
      end
      if expected == "not done" and ok then error(it[1][1] .. " ended") end
    end
    while select(2, screen:receive(0)) == nil do end
  end
end

play_all(1, #scripts)
local before = settled()
play_all(#scripts + 1, #scripts + SCRIPTS)
local after = settled()
print("threads", after.threads)
print("isolates", after.isolates)
print("descriptors", math.max(0, after.descriptors - before.descriptors))
local grown = after.memory - before.memory -- KiB; a state is 170
print("memory", grown < 6000 or grown)
]]

describe("a host of " .. SCRIPTS .. " scripts of strangers #signal", function()
  it("goes on, and nothing is left of them (pains 3, 4, 23, 39)", function()
    local code = PROGRAM:gsub("%u%u%u%u%u%u%u", {SCRIPTS = tostring(SCRIPTS), SECONDS = tostring(0.05 * helper.slow)})
    local result = helper.lua(code, {
      guard = 20 + SCRIPTS,
      env = {MALLOC_ARENA_MAX = "1"}, -- else libc keeps what threads have freed, some of it for each
    })
    assert(not result.timed_out, "the guard ended the program")
    assert.are.equal("", result.stderr)
    assert.are.equal("threads\t1\nisolates\t1\ndescriptors\t0\nmemory\ttrue\n", result.stdout)
    assert.are.equal(0, result.status)
  end)
end)
