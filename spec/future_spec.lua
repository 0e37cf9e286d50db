-- future_spec.lua
-- Futures and Completers: a result that comes later, and who hears of it.

local Isolate = require "isolate"
local helper = require "spec.helper"

local Future = Isolate.Future
local turns   = require "spec.support.turns"

local pump, new_log, failure = turns.pump, turns.new_log, turns.failure
local GUARD = 10                     -- seconds; only a fault ever waits this long

-- The error that future fails with.
local function failure_of(future)
  return failure(future.await, future, GUARD)
end

-- Asserts that err is an error made here, of that class.
local function assert_class(name, err)
  assert.is_table(err)
  assert.equal(Isolate[name], getmetatable(err))
  assert.equal(name, err.name)
  assert.is_string(err.message)
  assert.is_true(#err.message > 0)
  assert.equal(name .. ": " .. err.message, tostring(err))
end

-- What people raise: one of every type but nil, which has tests of its own.
local function errors_of_every_type()
  return {"text", 42, 1.5, true, false, {code = 7}, print, coroutine.create(print), io.stdout}
end

after_each(pump)

describe("Future.value", function()
  it("has all its values, nils too", function()
    assert.same(table.pack(1, nil, 3, nil), table.pack(Future.value(1, nil, 3, nil):await()))
    assert.same(table.pack(nil), table.pack(Future.value(nil):await()))
    assert.same(table.pack(), table.pack(Future.value():await()))
  end)

  it("gives the value itself, not a copy", function()
    local value = {}
    assert.is_true(rawequal(value, Future.value(value):await()))
  end)

  it("is done from the start", function()
    assert.is_true(Future.value(1):is_done())
  end)
end)

describe("Future.error", function()
  it("raises its error from await, whatever its type, each time", function()
    for _, value in ipairs(errors_of_every_type()) do
      local future = Future.error(value)
      assert.is_true(rawequal(value, failure(future.await, future)))
      assert.is_true(rawequal(value, failure(future.await, future)))
    end
  end)

  it("raises nil, too", function()
    local future = Future.error(nil)
    assert.is_nil(failure(future.await, future))
  end)

  it("adds nothing to a string", function()
    assert.equal("as it was", failure_of(Future.error("as it was")))
  end)

  it("is done from the start", function()
    local future = Future.error("x")
    assert.is_true(future:is_done())
    failure_of(future)
  end)
end)

describe("Future.delayed", function()
  it("comes without values when there is no function", function()
    assert.same(table.pack(), table.pack(Future.delayed(0.01):await()))
  end)

  it("has all that its function returns", function()
    local future = Future.delayed(0.01, function() return "a", nil, "c", nil end)
    assert.same(table.pack("a", nil, "c", nil), table.pack(future:await()))
  end)

  it("calls its function later, and once", function()
    local log, add = new_log()
    local future = Future.delayed(0, function() add "called" end)
    add "made"
    future:await()
    future:await()
    assert.same({"made", "called"}, log)
  end)

  it("fails with the error of its function", function()
    local err = {}
    assert.is_true(rawequal(err, failure_of(Future.delayed(0, function() error(err) end))))
  end)

  it("calls its function as a task", function()
    local gate = Isolate.Completer()
    local future = Future.delayed(0, function() return gate.future:await() end)
    pump()
    assert.is_false(future:is_done())
    gate:complete("through")
    assert.equal("through", future:await())
  end)

  it("never calls its function once it is cancelled, and keeps no timer", function()
    local log, add = new_log()
    local future = Future.delayed(3600, function() add "called" end)
    future:cancel()
    assert.is_nil(Isolate.timeout())
    Isolate.loop()
    assert.same({}, log)
    assert_class("CancelledError", failure_of(future))
  end)
end)

for _, kind in ipairs {"Completer", "Completer.sync"} do
  local function new_completer()
    if kind == "Completer" then return Isolate.Completer() end
    return Isolate.Completer.sync()
  end

  describe(kind, function()
    it("completes its future with all values, nils too", function()
      local completer = new_completer()
      completer:complete(nil, 2, nil)
      assert.same(table.pack(nil, 2, nil), table.pack(completer.future:await()))
    end)

    it("completes its future with no value at all", function()
      local completer = new_completer()
      completer:complete()
      assert.same(table.pack(), table.pack(completer.future:await()))
    end)

    it("fails its future with any error", function()
      for _, value in ipairs(errors_of_every_type()) do
        local completer = new_completer()
        completer:complete_error(value)
        assert.is_true(rawequal(value, failure_of(completer.future)))
      end
    end)

    it("has one future", function()
      local completer = new_completer()
      assert.is_true(rawequal(completer.future, completer.future))
    end)

    it("knows whether it is completed", function()
      local one, two = new_completer(), new_completer()
      assert.is_false(one:is_completed())
      one:complete()
      assert.is_true(one:is_completed())
      two:complete_error("x")
      assert.is_true(two:is_completed())
      failure_of(two.future)
    end)

    it("raises when it is completed twice, and keeps the first", function()
      local ways = {
        {"complete", "complete"}, {"complete", "complete_error"},
        {"complete_error", "complete"}, {"complete_error", "complete_error"},
      }
      for _, way in ipairs(ways) do
        local completer = new_completer()
        local first, second = table.unpack(way)
        completer[first](completer, "first")
        local err = failure(function() completer[second](completer, "second") end)
        assert.matches("already completed", tostring(err), 1, true)
        local ok, value = pcall(completer.future.await, completer.future, GUARD)
        assert.equal(first == "complete", ok)
        assert.equal("first", value)
      end
    end)

    it("ignores what comes after a cancel", function()
      local completer = new_completer()
      completer.future:cancel()
      assert.has_no.errors(function()
        completer:complete("late")
        completer:complete("later")
        completer:complete_error("latest")
      end)
      assert_class("CancelledError", failure_of(completer.future))
    end)

    it("wakes those who wait in the order in which they came", function()
      local completer = new_completer()
      local log, add = new_log()
      for i = 1, 3 do
        Isolate.async(function() add(i .. completer.future:await()) end)
        completer.future:next(function(value) add(i .. value .. " next") end)
      end
      completer:complete "x"
      pump()
      assert.same({"1x", "1x next", "2x", "2x next", "3x", "3x next"}, log)
    end)
  end)
end

describe("Completer", function()
  it("lets nobody run before complete has returned", function()
    local completer = Isolate.Completer()
    local log, add = new_log()
    completer.future:next(function() add "next" end)
    Isolate.async(function()
      completer.future:await()
      add "task"
    end)
    completer:complete()
    add "after complete"
    pump()
    assert.same({"after complete", "next", "task"}, log)
  end)

  it("lets nobody run before complete_error has returned", function()
    local completer = Isolate.Completer()
    local log, add = new_log()
    completer.future:catch(add)
    completer:complete_error "failed"
    add "after complete_error"
    pump()
    assert.same({"after complete_error", "failed"}, log)
  end)
end)

describe("Completer.sync", function()
  it("lets everybody run before complete has returned", function()
    local completer = Isolate.Completer.sync()
    local log, add = new_log()
    completer.future:next(function() add "next" end)
    Isolate.async(function()
      completer.future:await()
      add "task"
    end)
    completer:complete()
    add "after complete"
    pump()
    assert.same({"next", "task", "after complete"}, log)
  end)

  it("lets everybody run before complete_error has returned", function()
    local completer = Isolate.Completer.sync()
    local log, add = new_log()
    completer.future:catch(add)
    completer:complete_error "failed"
    add "after complete_error"
    pump()
    assert.same({"failed", "after complete_error"}, log)
  end)
end)

describe("await", function()
  it("may be called any number of times, by anybody", function()
    local completer = Isolate.Completer()
    local log, add = new_log()
    for i = 1, 3 do
      Isolate.async(function()
        add(i .. " " .. completer.future:await())
        add(i .. " again " .. completer.future:await())
      end)
    end
    completer:complete "v"
    assert.equal("v", completer.future:await())
    assert.equal("v", completer.future:await())
    pump()
    table.sort(log)
    assert.same({"1 again v", "1 v", "2 again v", "2 v", "3 again v", "3 v"}, log)
  end)

  it("raises a TimeoutError when the time is up", function()
    local completer = Isolate.Completer()
    assert_class("TimeoutError", failure(function() completer.future:await(0.01) end))
  end)

  it("raises a TimeoutError at once with a timeout of zero", function()
    local completer = Isolate.Completer()
    assert_class("TimeoutError", failure(function() completer.future:await(0) end))
  end)

  it("gives the values of a done Future even with a timeout of zero", function()
    assert.equal("there", Future.value("there"):await(0))
  end)

  it("leaves the work going on after a timeout", function()
    local completer = Isolate.Completer()
    local future = Isolate.async(function() return completer.future:await() .. "!" end)
    assert_class("TimeoutError", failure(function() future:await(0.01) end))
    assert.is_false(future:is_done())
    completer:complete("done")
    assert.equal("done!", future:await())
  end)

  it("raises its TimeoutError in a task, and only there", function()
    local completer = Isolate.Completer()
    local future = Isolate.async(function()
      local ok, err = pcall(completer.future.await, completer.future, 0.01)
      return ok, err
    end)
    local ok, err = future:await(GUARD)
    assert.is_false(ok)
    assert_class("TimeoutError", err)
    completer:complete("for others")
    assert.equal("for others", completer.future:await())
  end)

  it("keeps no timer once the Future is done", function()
    local completer = Isolate.Completer()
    local task = Isolate.async(function() return completer.future:await(3600) end)
    completer:complete("soon")
    assert.equal("soon", completer.future:await(3600))
    assert.equal("soon", task:await())
    assert.is_nil(Isolate.timeout())
  end)
end)

describe("next", function()
  it("calls on_value with all values, and has all that it returned", function()
    local got
    local future = Future.value(1, nil, 3, nil):next(function(...)
      got = table.pack(...)
      return nil, "b", nil
    end)
    assert.same(table.pack(nil, "b", nil), table.pack(future:await()))
    assert.same(table.pack(1, nil, 3, nil), got)
  end)

  it("calls nobody before it has returned, even when the Future is done", function()
    local log, add = new_log()
    local future = Future.value("value"):next(add)
    add "returned"
    future:await()
    assert.same({"returned", "value"}, log)
  end)

  it("calls back in the order in which it was asked", function()
    local log, add = new_log()
    local completer = Isolate.Completer()
    for i = 1, 5 do completer.future:next(function() add(i) end) end
    completer:complete()
    pump()
    assert.same({1, 2, 3, 4, 5}, log)
  end)

  it("awaits a Future that on_value returns as first value", function()
    local inner = Isolate.Completer()
    local future = Future.value(1):next(function() return inner.future end)
    pump()
    assert.is_false(future:is_done())
    inner:complete("inner", nil, "values", nil)
    assert.same(table.pack("inner", nil, "values", nil), table.pack(future:await()))
  end)

  it("fails when the Future that on_value returns fails", function()
    local future = Future.value(1):next(function() return Future.error("inner failed") end)
    assert.equal("inner failed", failure_of(future))
  end)

  it("fails with the error of on_value, which its own on_error does not see", function()
    local err = {}
    local log, add = new_log()
    local future = Future.value(1):next(function() error(err) end, add)
    assert.is_true(rawequal(err, failure_of(future)))
    assert.same({}, log)
  end)

  it("passes the values on without on_value", function()
    local future = Future.value(1, nil, nil):next(nil, function() return "no" end)
    assert.same(table.pack(1, nil, nil), table.pack(future:await()))
    assert.same(table.pack(4, nil), table.pack(Future.value(4, nil):next():await()))
  end)

  it("passes the error on without on_error", function()
    local err = {}
    local log, add = new_log()
    local future = Future.error(err):next(add):next(add)
    assert.is_true(rawequal(err, failure_of(future)))
    assert.same({}, log)
  end)

  it("calls on_error with the error, and has all that it returned", function()
    for _, value in ipairs(errors_of_every_type()) do
      local got
      local future = Future.error(value):next(nil, function(err)
        got = err
        return "mended", nil
      end)
      assert.same(table.pack("mended", nil), table.pack(future:await()))
      assert.is_true(rawequal(value, got))
    end
  end)

  it("awaits a Future that on_error returns", function()
    local future = Future.error("x"):next(nil, function() return Future.delayed(0, function() return 5 end) end)
    assert.equal(5, future:await())
  end)

  it("fails with the error of on_error", function()
    local future = Future.error("first"):next(nil, function() error("second", 0) end)
    assert.equal("second", failure_of(future))
  end)

  it("calls its callback as a task", function()
    local gate = Isolate.Completer()
    local log, add = new_log()
    local future = Future.value("a"):next(function(value)
      add(value .. gate.future:await())
      return "c"
    end)
    pump()
    add "meanwhile"
    gate:complete "b"
    assert.equal("c", future:await())
    assert.same({"meanwhile", "ab"}, log)
  end)

  it("gives each of several callbacks a Future of its own", function()
    local base = Future.value(10)
    local one = base:next(function(value) return value + 1 end)
    local two = base:next(function(value) error("no " .. value, 0) end)
    assert.equal(11, one:await())
    assert.equal("no 10", failure_of(two))
    assert.equal(10, base:await())
  end)

  it("makes chains of any length", function()
    local future = Future.value(0)
    for _ = 1, 2000 do future = future:next(function(value) return value + 1 end) end
    assert.equal(2000, future:await())
  end)
end)

describe("catch", function()
  it("calls its function with the error, and has all that it returned", function()
    local err = {}
    local future = Future.error(err):catch(function(value) return value, nil end)
    assert.same(table.pack(err, nil), table.pack(future:await()))
  end)

  it("passes values on", function()
    local log, add = new_log()
    assert.same(table.pack(1, nil), table.pack(Future.value(1, nil):catch(add):await()))
    assert.same({}, log)
  end)

  it("fails with the error of its function", function()
    local future = Future.error("first"):catch(function(err) error(err .. ", second", 0) end)
    assert.equal("first, second", failure_of(future))
  end)

  it("catches what a next before it raised", function()
    local future = Future.value(1)
      :next(function() error("in the middle", 0) end)
      :next(function() return "never" end)
      :catch(function(err) return "caught " .. err end)
    assert.equal("caught in the middle", future:await())
  end)

  it("awaits a Future that its function returns", function()
    local future = Future.error("x"):catch(function() return Future.value("from inside", nil) end)
    assert.same(table.pack("from inside", nil), table.pack(future:await()))
  end)
end)

describe("finally", function()
  it("calls its function without arguments, and passes the values on", function()
    local got
    local future = Future.value(1, nil):finally(function(...)
      got = table.pack(...)
      return "ignored"
    end)
    assert.same(table.pack(1, nil), table.pack(future:await()))
    assert.same(table.pack(), got)
  end)

  it("passes the error on", function()
    local err = {}
    local log, add = new_log()
    local future = Future.error(err):finally(function() add "called" end)
    assert.is_true(rawequal(err, failure_of(future)))
    assert.same({"called"}, log)
  end)

  it("fails with the error of its function", function()
    assert.equal("spoiled", failure_of(Future.value(1):finally(function() error("spoiled", 0) end)))
    assert.equal("worse", failure_of(Future.error("bad"):finally(function() error("worse", 0) end)))
  end)

  it("waits for a Future that its function returns, and takes its error only", function()
    local gate = Isolate.Completer()
    local future = Future.value("kept"):finally(function() return gate.future end)
    pump()
    assert.is_false(future:is_done())
    gate:complete("dropped")
    assert.equal("kept", future:await())
    local failing = Future.value("kept"):finally(function() return Future.error("not closed") end)
    assert.equal("not closed", failure_of(failing))
  end)

  it("is called when the Future is cancelled, too", function()
    local log, add = new_log()
    local completer = Isolate.Completer()
    local future = completer.future:finally(function() add "called" end)
    completer.future:cancel()
    assert_class("CancelledError", failure_of(future))
    assert.same({"called"}, log)
  end)
end)

describe("timeout", function()
  it("fails with a TimeoutError when the time is up", function()
    local completer = Isolate.Completer()
    assert_class("TimeoutError", failure_of(completer.future:timeout(0.01)))
  end)

  it("leaves the Future itself going on", function()
    local completer = Isolate.Completer()
    failure_of(completer.future:timeout(0.01))
    assert.is_false(completer.future:is_done())
    completer:complete("late")
    assert.equal("late", completer.future:await())
  end)

  it("passes values and errors on when they come in time", function()
    local completer = Isolate.Completer()
    local future = completer.future:timeout(3600)
    completer:complete(1, nil)
    assert.same(table.pack(1, nil), table.pack(future:await()))
    assert.equal("in time", failure_of(Future.error("in time"):timeout(3600)))
  end)

  it("keeps no timer once the Future is done", function()
    local completer = Isolate.Completer()
    local future = completer.future:timeout(3600)
    completer:complete()
    future:await()
    assert.is_nil(Isolate.timeout())
  end)

  -- It stayed, and kept the program alive, where somebody else waited for the source.
  it("keeps no timer once it is cancelled", function()
    local completer = Isolate.Completer()
    local other = completer.future:next()
    completer.future:timeout(3600):cancel()
    assert.is_nil(Isolate.timeout())
    completer:complete(1)
    assert.equal(1, other:await())
  end)
end)

describe("cancel", function()
  it("fails the Future with a CancelledError", function()
    local completer = Isolate.Completer()
    completer.future:cancel()
    assert_class("CancelledError", failure_of(completer.future))
    assert.is_true(completer.future:is_done())
  end)

  it("wakes those who wait", function()
    local completer = Isolate.Completer()
    local task = Isolate.async(function() completer.future:await() end)
    local caught = completer.future:catch(function(err) return err end)
    completer.future:cancel()
    assert_class("CancelledError", failure_of(task))
    assert_class("CancelledError", caught:await())
  end)

  it("changes nothing for a Future that is done", function()
    local value, err = Future.value("kept", nil), Future.error("kept")
    value:cancel()
    err:cancel()
    assert.same(table.pack("kept", nil), table.pack(value:await()))
    assert.equal("kept", failure_of(err))
  end)

  it("may be called twice", function()
    local completer = Isolate.Completer()
    completer.future:cancel()
    assert.has_no.errors(function() completer.future:cancel() end)
    failure_of(completer.future)
  end)

  it("fails the Future of an async", function()
    local gate = Isolate.Completer()
    local future = Isolate.async(function() return gate.future:await() end)
    future:cancel()
    assert_class("CancelledError", failure_of(future))
    gate:complete()
  end)

  it("kills the isolate of a run that waits", function()
    local port <close> = Isolate.ReceivePort()
    local future = Isolate.run(function(out)
      out:send(Isolate.current)
      Isolate.sleep(3600)
    end, port.send_port)
    local handle = port:receive(GUARD)
    future:cancel()
    assert_class("CancelledError", failure_of(future))
    assert.is_true(handle:join(GUARD))
  end)

  it("kills the isolate of a run that spins #signal", function()
    local port <close> = Isolate.ReceivePort()
    local future = Isolate.run(function(out)
      out:send(Isolate.current)
      while true do end
    end, port.send_port)
    local handle = port:receive(GUARD)
    future:cancel()
    assert_class("CancelledError", failure_of(future))
    assert.is_true(handle:join(GUARD))
  end)

  it("kills the isolate of a compute that spins #signal", function()
    local port <close> = Isolate.ReceivePort()
    local future = Isolate.compute(function(out)
      out:send(Isolate.current)
      while true do pcall(error) end
    end, port.send_port)
    local handle = port:receive(GUARD)
    future:cancel()
    assert_class("CancelledError", failure_of(future))
    assert.is_true(handle:join(GUARD))
  end)
end)

describe("is_done", function()
  it("is false until there is a value or an error", function()
    local one, two = Isolate.Completer(), Isolate.Completer()
    assert.is_false(one.future:is_done())
    one:complete()
    one.future:await()
    assert.is_true(one.future:is_done())
    two:complete_error("x")
    failure_of(two.future)
    assert.is_true(two.future:is_done())
  end)

  it("is false while an isolate works on it", function()
    local port <close> = Isolate.ReceivePort()
    local future = Isolate.run(function(out)
      local gate <close> = Isolate.ReceivePort()
      out:send(gate.send_port)
      return gate:receive()
    end, port.send_port)
    local gate = port:receive(GUARD)
    assert.is_false(future:is_done())
    gate:send("go")
    assert.equal("go", future:await(GUARD))
    assert.is_true(future:is_done())
  end)
end)

describe("Future.all", function()
  it("is one table of the first values, in the order of the list, with n", function()
    local a, b, c = Isolate.Completer(), Isolate.Completer(), Isolate.Completer()
    local all = Future.all {a.future, b.future, c.future}
    c:complete("c", "second value")
    a:complete("a")
    assert.is_false(all:is_done())
    b:complete()
    assert.same(table.pack({n = 3, "a", nil, "c"}), table.pack(all:await()))
  end)

  it("is an empty table with n = 0 for an empty list", function()
    assert.same({n = 0}, Future.all({}):await())
  end)

  it("fails with the first failure, in time and not in the list", function()
    local a, b, c = Isolate.Completer(), Isolate.Completer(), Isolate.Completer()
    local all = Future.all {a.future, b.future, c.future}
    c:complete_error("c failed")
    a:complete_error("a failed")
    assert.equal("c failed", failure_of(all))
    assert.is_false(b.future:is_done())
    b:complete("too late")
    pump()
  end)

  it("takes the same Future twice, and Futures that are done", function()
    local future = Future.value("same")
    assert.same({n = 2, "same", "same"}, Future.all({future, future}):await())
  end)

  it("gathers the answers of isolates in the order of the list", function()
    local futures = {}
    for i = 1, 4 do futures[i] = Isolate.run(function(n) return n * n end, i) end
    assert.same({n = 4, 1, 4, 9, 16}, Future.all(futures):await(GUARD))
  end)
end)

describe("Future.any", function()
  it("is the first to finish", function()
    local a, b = Isolate.Completer(), Isolate.Completer()
    local any = Future.any {a.future, b.future}
    b:complete("b")
    a:complete("a")
    assert.equal("b", any:await())
  end)

  it("fails when the first to finish fails", function()
    local a, b = Isolate.Completer(), Isolate.Completer()
    local any = Future.any {a.future, b.future}
    b:complete_error("b failed")
    a:complete("a")
    assert.equal("b failed", failure_of(any))
  end)

  it("hears the others, which may fail later", function()
    local a, b = Isolate.Completer(), Isolate.Completer()
    local any = Future.any {a.future, b.future}
    a:complete("a")
    assert.equal("a", any:await())
    b:complete_error("nobody is told")
    pump()
    assert.equal("a", any:await())
  end)
end)

describe("An unheard Future", function()
  local function stderr_of(code)
    local result = helper.lua("local Isolate = require 'isolate'\n" .. code)
    assert.equal(0, result.status)
    return result.stderr
  end

  local function count(text, what)
    local n = 0
    for _ in text:gmatch(what) do n = n + 1 end
    return n
  end

  it("goes to stderr when the loop runs out of work", function()
    local stderr = stderr_of [[
      kept = Isolate.async(function() error "lost and found" end)
      Isolate.loop()
      io.stderr:write "after the loop\n"
    ]]
    assert.matches("lost and found.*after the loop", stderr)
    assert.equal(1, count(stderr, "lost and found"))
  end)

  it("goes to stderr when it is collected", function()
    local stderr = stderr_of [[
      Isolate.async(function() error "lost and found" end)
      collectgarbage() collectgarbage()
      while Isolate.step() do end
      io.stderr:write "after the collection\n"
    ]]
    assert.matches("lost and found.*after the collection", stderr)
    assert.equal(1, count(stderr, "lost and found"))
  end)

  it("goes to stderr when the program ends without a loop", function()
    local stderr = stderr_of [[
      kept = Isolate.Future.error "lost and found"
    ]]
    assert.equal(1, count(stderr, "lost and found"))
  end)

  it("tells errors of every type", function()
    local stderr = stderr_of [[
      local named = setmetatable({}, {__tostring = function() return "an error with a name" end})
      kept = {
        Isolate.Future.error(named), Isolate.Future.error(4711), Isolate.Future.error({}),
        Isolate.Future.error(nil),
      }
      Isolate.loop()
    ]]
    assert.equal(1, count(stderr, "an error with a name"))
    assert.equal(1, count(stderr, "4711"))
  end)

  it("is told once for a chain, by its last link", function()
    local stderr = stderr_of [[
      kept = Isolate.Future.error("lost and found"):next(print):finally(function() end):timeout(3600)
      Isolate.loop()
    ]]
    assert.equal(1, count(stderr, "lost and found"))
  end)

  it("is told once for an all", function()
    local stderr = stderr_of [[
      kept = Isolate.Future.all {Isolate.Future.error "lost and found", Isolate.Future.value(1)}
      Isolate.loop()
    ]]
    assert.equal(1, count(stderr, "lost and found"))
  end)

  it("is not told when it was asked: await, next, catch, all, any", function()
    local stderr = stderr_of [[
      local Future = Isolate.Future
      pcall(function() Future.error("awaited"):await() end)
      Future.error("next"):next(nil, function() end)
      Future.error("catch"):catch(function() end)
      Future.all({Future.error "all"}):catch(function() end)
      Future.any({Future.error "any"}):catch(function() end)
      Isolate.async(function() pcall(function() Future.error("in a task"):await() end) end)
      Isolate.loop()
      collectgarbage() collectgarbage()
      while Isolate.step() do end
    ]]
    assert.equal("", stderr)
  end)

  it("is not told when it was cancelled", function()
    local stderr = stderr_of [[
      local completer = Isolate.Completer()
      completer.future:cancel()
      Isolate.Future.delayed(3600):cancel()
      Isolate.loop()
    ]]
    assert.equal("", stderr)
  end)

  it("may be asked long after it has failed, while its isolate works on", function()
    local stderr = stderr_of [[
      local function work(name) error(name .. " failed", 0) end
      local a, b = Isolate.run(work, "a"), Isolate.run(work, "b")
      print(pcall(a.await, a))
      Isolate.sleep(0.1)
      print(pcall(b.await, b))
    ]]
    assert.equal("", stderr)
  end)

  it("in a list of two comes where it is awaited", function()
    local a = Isolate.run(function() return "a" end)
    local b = Isolate.run(function() error("b failed", 0) end)
    assert.equal("a", a:await(GUARD))
    local err = failure_of(b)
    assert.equal("b failed", err.message)
  end)
end)
