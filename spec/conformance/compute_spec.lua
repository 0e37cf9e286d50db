-- Isolate.compute: Flutter's compute, with one message and options. Ids are those
-- of Dart's behaviour (A16, A17; 2.7).

local Isolate = require "isolate"

local alone = require "spec.support.alone"
local turns = require "spec.support.turns"

local failure, keep = turns.failure, alone.keep
local GUARD = 60

before_each(alone.begin)
after_each(alone.check)

local remote = alone.remote

describe("A16, 2.7: Isolate.compute", function()
  it("is run with one message", function()
    assert.equal(55, Isolate.compute(function(n)
      local sum = 0
      for i = 1, n do sum = sum + i end
      return sum
    end, 10):await(GUARD))
  end)

  it("has next (D10: result : 55)", function()
    local said
    Isolate.compute(function(n) return n end, 55):next(function(v) said = "result : " .. v end)
      :await(GUARD)
    assert.equal("result : 55", said)
  end)

  it("calls with exactly one message, nil without", function()
    assert.equal(1, Isolate.compute(function(...) return select("#", ...) end):await(GUARD))
    assert.is_nil(Isolate.compute(function(m) return m end):await(GUARD))
  end)

  it("brings back all results", function()
    assert.same(table.pack(1, nil, 3),
      table.pack(Isolate.compute(function() return 1, nil, 3 end):await(GUARD)))
  end)

  it("takes closures, which Flutter's old compute did not", function()
    local factor = 3
    assert.equal(12, Isolate.compute(function(n) return n * factor end, 4):await(GUARD))
  end)

  it("takes an async function, called in its own isolate", function()
    local where, value = Isolate.compute(function(v)
      Isolate.sleep(0.001)
      return Isolate.is_main, v
    end, "v"):await(GUARD)
    assert.is_false(where)
    assert.equal("v", value)
  end)

  it("A17: copies its message, whatever the build", function()
    local list = { 1 }
    local future = Isolate.compute(function(l) l[1] = l[1] + 1 return l end, list)
    list[1] = 10
    assert.same({ 2 }, future:await(GUARD))
    assert.same({ 10 }, list)
  end)

  it("fails as run does: value, error, no answer", function()
    assert.same({ code = 1 }, remote(Isolate.compute(function() error { code = 1 } end)).value)
    assert.equal("computation ended without result",
      remote(Isolate.compute(function() Isolate.exit() end)).message)
    assert.truthy(remote(Isolate.compute(function() return io.stdout end)).message:find(
      "cannot send result[1]: an open file stays in its isolate", 1, true))
    assert.truthy(failure(Isolate.compute, print, { io.stdout }):find(
      "cannot send message[1]: an open file stays in its isolate", 1, true))
  end)

  it("has a name (debugLabel): that of the isolate, and of its errors", function()
    assert.equal("parser", Isolate.compute(function() return Isolate.current.name end, nil,
      { name = "parser" }):await(GUARD))
    assert.equal("parser", remote(Isolate.compute(error, "x", { name = "parser" })).isolate)
    assert.equal("parser", remote(Isolate.compute(function() Isolate.exit() end, nil,
      { name = "parser" })).isolate)
  end)

  it("has a timeout: the isolate is killed, and the Future fails with a TimeoutError #signal", function()
    local future = Isolate.compute(function() while true do end end, nil, { timeout = 0.01 })
    local e = failure(future.await, future, GUARD)
    assert.equal(Isolate.TimeoutError, getmetatable(e))
    assert.equal("the computation was not done after 0.01 seconds", e.message)
  end)

  it("has a timeout that is forgotten when it was in time", function()
    assert.equal(1, Isolate.compute(function() return 1 end, nil, { timeout = 1000 }):await(GUARD))
  end)

  it("has a memory_limit", function()
    assert.truthy(remote(Isolate.compute(function() return ("x"):rep(1e8) end, nil,
      { memory_limit = 4e6 })).message:find("not enough memory", 1, true))
  end)

  it("tells the listeners of its options of errors and the end", function()
    local port = keep(Isolate.ReceivePort())
    local future = Isolate.compute(function() return "value" end, nil, { on_exit = port.send_port })
    assert.same(table.pack(nil), table.pack(port:receive(GUARD)))
    assert.equal("value", future:await(GUARD))
  end)

  it("can be paused at first", function()
    local port = keep(Isolate.ReceivePort())
    local to = port.send_port
    local future = Isolate.compute(function()
      to:send "ran"
      return 1
    end, nil, { paused = true })
    assert.same({ nil, "timeout" }, { port:receive(0.02) })
    future:cancel()
  end)

  it("refuses options that are none of its own, by name", function()
    assert.truthy(failure(Isolate.compute, print, nil, { nam = "x" }):find(
      "bad argument #3 to 'compute' (unknown option 'nam')", 1, true))
    assert.truthy(failure(Isolate.compute, print, nil, { args = {} }):find(
      "bad argument #3 to 'compute' (unknown option 'args')", 1, true))
    assert.truthy(failure(Isolate.compute, print, nil, { timeout = "1" }):find(
      "bad argument #3 to 'compute' (option 'timeout': number of seconds expected, got string)", 1, true))
    assert.truthy(failure(Isolate.compute, 1):find(
      "bad argument #1 to 'compute' (function expected, got number)", 1, true))
  end)
end)
