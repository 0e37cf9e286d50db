-- start_spec.lua
-- How isolates start: a function begins before our Lua layer is there, which comes in when
-- the function waits, fails, uses the library or returns what cannot be sent.

local Isolate = require "isolate"
local helper  = require "spec.helper"
local alone   = require "spec.support.alone"

local GUARD = 10 * helper.slow -- seconds

local function values(future) return table.pack(future:await(GUARD)) end

-- What a sandbox may do to its globals, and to what `require` goes by.
local function spoil()
  local globals, next, package = _G, next, package
  local kept = { coroutine = coroutine, error = error }
  package.searchers, package.path = {}, ""
  for _, list in next, { package.loaded, package.preload, package, globals } do
    for name in next, list do list[name] = nil end
  end
  return kept
end

describe("a function that begins before our Lua layer is there", function()
  before_each(alone.begin)
  after_each(alone.check)

  it("has its error told, whatever it made of its globals", function()
    local e = alone.remote(Isolate.run(function()
      local kept = spoil()
      kept.error "spoilt"
    end))
    assert.matches("start_spec.lua:%d+: spoilt$", e.message)
    assert.matches("^stack traceback:", e.traceback)
    assert.matches("start_spec.lua:%d+: in function <", e.traceback)
  end)

  it("is told not to yield, whatever it made of its globals", function()
    local e = alone.remote(Isolate.run(function()
      local kept = spoil()
      kept.coroutine.yield(1)
    end))
    assert.equal("coroutine.yield in a task: a task waits with await, receive or sleep", e.message)
  end)

  it("waits, and goes on in the same coroutine", function()
    local same, sum = table.unpack(values(Isolate.run(function(x)
      local co = coroutine.running()
      local I = require "isolate"
      I.sleep(0)
      I.async(function() I.sleep(0) x = x + 1 end):await()
      return coroutine.running() == co and not select(2, coroutine.running()), x
    end, 41)))
    assert.is_true(same)
    assert.equal(42, sum)
  end)

  it("fails after a wait, and its to-be-closed variables are closed", function()
    local port = alone.new_port()
    local e = alone.remote(Isolate.run(function(reply)
      local I = require "isolate"
      local _ <close> = setmetatable({}, { __close = function() reply:send "closed" end })
      I.sleep(0)
      error("late", 0)
    end, port.send_port))
    assert.equal("late", e.message)
    assert.equal("closed", port:receive(GUARD))
  end)

  it("returns what only the layer can bring home: a Future, or why it cannot be sent", function()
    assert.equal(7, Isolate.run(function() return require "isolate".Future.delayed(0, function() return 7 end) end)
      :await(GUARD))
    local e = alone.remote(Isolate.run(function() return 1, coroutine.create(print) end))
    assert.matches("^cannot send result%[2%]: a coroutine stays in its isolate", e.message)
  end)

  it("runs what it made ready before it returned, and after its error nothing", function()
    local port = alone.new_port()
    Isolate.run(function(reply)
      local I = require "isolate"
      I.Future.value(1):next(function() reply:send "ready" end)
    end, port.send_port):await(GUARD)
    assert.equal("ready", port:receive(GUARD))
    local iso = Isolate.spawn(function(reply)
      local I = require "isolate"
      I.Future.value(1):next(function() reply:send "never" end)
      error "first"
    end, port.send_port, { on_error = port.send_port })
    assert.matches("first$", port:receive(GUARD)[1])
    assert.is_true(iso:join(GUARD))
    assert.is_nil(port:receive(0))
  end)

  it("answers a ping, and is held by a pause, though it never came to a loop", function()
    local port = alone.new_port()
    local iso = Isolate.spawn(function() end, nil, { paused = true, on_exit = port.send_port })
    iso:ping(port.send_port, "here")
    assert.equal("here", port:receive(GUARD))
    assert.is_true(helper.eventually(function()
      for _, it in ipairs(Isolate.list()) do
        if it.name == iso.name then return it.state == "paused" end
      end
    end))
    iso:resume(iso.pause_capability)
    assert.is_true(iso:join(GUARD))
  end)

  it("needs little memory", function()
    local used = values(Isolate.run(function() return collectgarbage "count" end))[1]
    assert.is_true(used < 40, used)
  end)
end)
