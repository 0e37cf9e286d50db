-- error_spec.lua
-- Errors: those that crossed from another isolate, and those of wrong arguments.

local Isolate = require "isolate"
local helper = require "spec.helper"

local Future = Isolate.Future
local turns   = require "spec.support.turns"

local failure = turns.failure
local GUARD = 10                     -- seconds; only a fault ever waits this long
local HERE = "error_spec.lua:"

local function failure_of(future)
  return failure(future.await, future, GUARD)
end

-- The RemoteError of fn, run in another isolate.
local function remote(fn, ...)
  local err = failure_of(Isolate.run(fn, ...))
  assert.equal(Isolate.RemoteError, getmetatable(err))
  return err
end

local function line_of(fn) return debug.getinfo(fn, "S").linedefined end

local function contains(text, whole) assert.matches(text, whole, 1, true) end

after_each(function()
  while Isolate.step() do end
end)

describe("RemoteError", function()
  it("has the message, with the file and line over there", function()
    local fn = function() error("boom") end
    local err = remote(fn)
    assert.matches("error_spec%.lua:" .. line_of(fn) .. ": boom$", err.message)
    assert.equal("RemoteError", err.name)
  end)

  it("has the traceback of where it happened, with every function on the way", function()
    local function inner() error("deep inside") end
    local function outer()
      inner()
      return "never"
    end
    local err = remote(outer)
    assert.is_string(err.traceback)
    contains(HERE .. line_of(inner), err.traceback)
    contains(HERE .. (line_of(outer) + 1), err.traceback)
  end)

  it("has message and traceback for the errors of Lua itself", function()
    local fn = function()
      local nothing = nil
      return nothing.field
    end
    local err = remote(fn)
    contains("attempt to index a nil value (local 'nothing')", err.message)
    contains(HERE .. (line_of(fn) + 2), err.message)
    contains(HERE .. (line_of(fn) + 2), err.traceback)
  end)

  it("has the traceback of an error after a wait", function()
    local function inner()
      Isolate.sleep(0.001)
      error("after a wait")
    end
    local err = remote(function()
      inner()
      return "never"
    end)
    contains("after a wait", err.message)
    contains(HERE .. (line_of(inner) + 2), err.traceback)
  end)

  it("has the name of the isolate, which is that of the function unless it is given", function()
    local fn = function() error("boom") end
    assert.matches("error_spec%.lua:" .. line_of(fn) .. "$", remote(fn).isolate)
    local named = failure_of(Isolate.compute(fn, nil, {name = "reader"}))
    assert.equal(Isolate.RemoteError, getmetatable(named))
    assert.equal("reader", named.isolate)
  end)

  it("has the error value itself: a string, a number, a boolean", function()
    for _, value in ipairs {"text", 42, 1.5, true, false, math.mininteger} do
      local err = remote(function(what) error(what, 0) end, value)
      assert.equal(value, err.value)
      assert.equal(math.type(value), math.type(err.value))
      contains(tostring(value), err.message)
    end
  end)

  it("has no value for an error of nil, and a message all the same", function()
    local err = remote(function() error(nil) end)
    assert.is_nil(err.value)
    assert.is_string(err.message)
  end)

  it("has a copy of a table that was raised", function()
    local thrown = {code = 7, parts = {1, {2}}}
    thrown.self = thrown
    local err = remote(function(what) error(what) end, thrown)
    assert.is_string(err.message)
    assert.equal(7, err.value.code)
    assert.same({1, {2}}, err.value.parts)
    assert.is_true(rawequal(err.value, err.value.self))
    assert.is_false(rawequal(err.value, thrown))
  end)

  it("has as message what the value's __tostring says", function()
    local err = remote(function()
      error(setmetatable({code = 7}, {__tostring = function(self) return "code " .. self.code end}))
    end)
    contains("code 7", err.message)
    contains("code 7", tostring(err))
    assert.equal(7, err.value.code)
  end)

  it("is made for a value whose __tostring fails", function()
    local err = remote(function()
      error(setmetatable({code = 7}, {__tostring = function() error("no words") end}))
    end)
    assert.is_string(err.message)
    assert.equal(7, err.value.code)
  end)

  it("has no value when the value cannot be sent, but message and traceback", function()
    local fn = function() error({stuck = coroutine.create(print)}) end
    local err = remote(fn)
    assert.is_nil(err.value)
    assert.is_string(err.message)
    contains(HERE .. line_of(fn), err.traceback)
  end)

  it("shows message and traceback as a string", function()
    local err = remote(function() error("boom") end)
    contains(err.message, tostring(err))
    contains(err.traceback, tostring(err))
  end)

  it("is what on_error, catch and a task get, too", function()
    local function fail() error("boom", 0) end
    local caught = Isolate.run(fail):catch(function(err) return err end):await(GUARD)
    local heard = Isolate.run(fail):next(nil, function(err) return err end):await(GUARD)
    local _, awaited = Isolate.async(function()
      local future = Isolate.run(fail)
      return pcall(future.await, future)
    end):await(GUARD)
    for _, err in ipairs {caught, heard, awaited} do
      assert.equal(Isolate.RemoteError, getmetatable(err))
      assert.equal("boom", err.message)
    end
  end)

  it("is what compute fails with", function()
    local err = failure_of(Isolate.compute(function(message) error(message, 0) end, "computed badly"))
    assert.equal(Isolate.RemoteError, getmetatable(err))
    assert.equal("computed badly", err.message)
    assert.equal("computed badly", err.value)
  end)

  it("is the same object at every await", function()
    local future = Isolate.run(function() error("boom") end)
    local first = failure_of(future)
    assert.is_true(rawequal(first, failure_of(future)))
  end)

  it("does not come of an error that was caught over there", function()
    local ok, err = Isolate.run(function() return pcall(error, "caught", 0) end):await(GUARD)
    assert.is_false(ok)
    assert.equal("caught", err)
  end)

  it("comes of an error in a coroutine over there", function()
    local err = remote(function()
      local step = coroutine.wrap(function() error("in a coroutine", 0) end)
      step()
    end)
    contains("in a coroutine", err.message)
  end)

  it("comes of a task over there that is awaited there", function()
    local err = remote(function()
      Isolate.async(function() error({code = 9}) end):await()
    end)
    assert.equal(9, err.value.code)
  end)

  it("comes of a result that cannot be sent, with the path to it", function()
    local one = remote(function() return coroutine.create(print) end)
    contains("cannot send result[1]: a coroutine stays in its isolate", one.message)
    local two = remote(function() return 1, {log = io.stdout} end)
    contains("cannot send result[2].log: an open file stays in its isolate", two.message)
  end)

  it("says that a computation ended without result", function()
    local endings = {
      function() Isolate.exit() end,
      function() os.exit(3) end,
      function() Isolate.Completer().future:await() end,
    }
    for _, ending in ipairs(endings) do
      assert.equal("computation ended without result", remote(ending).message)
    end
  end)

  it("says that a computation ended without result when it was killed", function()
    local port <close> = Isolate.ReceivePort()
    local future = Isolate.run(function(out)
      out:send(Isolate.current)
      Isolate.sleep(3600)
    end, port.send_port)
    port:receive(GUARD):kill(Isolate.immediate)
    local err = failure_of(future)
    assert.equal(Isolate.RemoteError, getmetatable(err))
    assert.equal("computation ended without result", err.message)
  end)

  it("arrives as one when it is sent", function()
    local port <close> = Isolate.ReceivePort()
    local err = remote(function() error({code = 7}) end)
    port.send_port:send(err)
    local got = port:receive(GUARD)
    assert.equal(Isolate.RemoteError, getmetatable(got))
    assert.equal(err.message, got.message)
    assert.equal(err.traceback, got.traceback)
    assert.equal(err.isolate, got.isolate)
    assert.equal(7, got.value.code)
    assert.equal(tostring(err), tostring(got))
  end)

  it("ends a program that does not catch it with message and far traceback", function()
    local result = helper.lua [[
      local Isolate = require "isolate"
      local function far_away()
        error "boom"
      end
      Isolate.run(function()
        far_away()
        return "never"
      end):await()
    ]]
    assert.equal(1, result.status)
    contains("boom", result.stderr)
    assert.matches("traceback.*far_away", result.stderr)
  end)

  describe("over two isolates", function()
    it("still shows where it happened, and carries the value", function()
      local function innermost() error("deep") end
      local err = remote(function()
        return Isolate.run(innermost):await()
      end)
      contains("deep", err.message)
      contains("deep", tostring(err))
      contains(HERE .. line_of(innermost), tostring(err))
      local value = err
      while getmetatable(value) == Isolate.RemoteError do value = value.value end
      assert.matches("error_spec%.lua:" .. line_of(innermost) .. ": deep$", value)
    end)

    it("still carries a table", function()
      local err = remote(function()
        return Isolate.run(function() error({code = 11}) end):await()
      end)
      local value = err
      while getmetatable(value) == Isolate.RemoteError do value = value.value end
      assert.equal(11, value.code)
    end)

    it("can be caught in the middle, as the RemoteError it is there", function()
      local is_remote, message, name = Isolate.run(function()
        local future = Isolate.compute(function() error("deep", 0) end, nil, {name = "inner"})
        local _, err = pcall(future.await, future)
        return getmetatable(err) == Isolate.RemoteError, err.message, err.isolate
      end):await(GUARD)
      assert.is_true(is_remote)
      assert.equal("deep", message)
      assert.equal("inner", name)
    end)
  end)
end)

describe("An error that is an object of a module's class", function()
  local file, module_name, path

  setup(function()
    file = os.tmpname()
    local dir, base = file:match("^(.*[/\\])([^/\\]+)$")
    module_name, path = base, package.path
    package.path = dir .. "?.lua;" .. path
    local out = assert(io.open(file .. ".lua", "w"))
    out:write [[
      local ParseError = {}
      ParseError.__index = ParseError
      ParseError.__tostring = function(self) return "line " .. self.line end
      function ParseError.new(line) return setmetatable({line = line}, ParseError) end
      function ParseError:next_line() return self.line + 1 end
      return ParseError
    ]]
    out:close()
  end)

  teardown(function()
    package.path = path
    package.loaded[module_name] = nil
    os.remove(file)
    os.remove(file .. ".lua")
  end)

  it("arrives as an object of that class", function()
    local ParseError = require(module_name)
    local err = remote(function() error(ParseError.new(41)) end)
    assert.equal(ParseError, getmetatable(err.value))
    assert.equal(42, err.value:next_line())
    contains("line 41", err.message)
  end)

  it("arrives so from two isolates away", function()
    local ParseError = require(module_name)
    local err = remote(function()
      return Isolate.run(function() error(ParseError.new(41)) end):await()
    end)
    local value = err
    while getmetatable(value) == Isolate.RemoteError do value = value.value end
    assert.equal(ParseError, getmetatable(value))
  end)

  it("of this library's classes arrives as an object of that class", function()
    local err = remote(function() Isolate.Completer().future:await(0.001) end)
    assert.equal(Isolate.TimeoutError, getmetatable(err.value))
    assert.equal("TimeoutError", err.value.name)
    contains("TimeoutError: " .. err.value.message, tostring(err))
  end)
end)

describe("Errors made here", function()
  it("are tables with name and message, of their class", function()
    local completer = Isolate.Completer()
    completer.future:cancel()
    local made = {
      TimeoutError = failure(function() Isolate.Completer().future:await(0) end),
      CancelledError = failure_of(completer.future),
      RemoteError = remote(function() error("boom") end),
    }
    for name, err in pairs(made) do
      assert.is_table(err)
      assert.equal(Isolate[name], getmetatable(err))
      assert.equal(name, err.name)
      assert.is_string(err.message)
    end
    assert.equal("TimeoutError: " .. made.TimeoutError.message, tostring(made.TimeoutError))
    assert.equal("CancelledError: " .. made.CancelledError.message, tostring(made.CancelledError))
    assert.is_table(Isolate.IsolateSpawnError)
  end)

  it("are of four classes that differ", function()
    local seen = {}
    for _, name in ipairs {"RemoteError", "TimeoutError", "CancelledError", "IsolateSpawnError"} do
      assert.is_table(Isolate[name])
      assert.is_nil(seen[Isolate[name]])
      seen[Isolate[name]] = name
    end
  end)

  it("are a TimeoutError when a compute takes longer than its timeout", function()
    local err = failure_of(Isolate.compute(function() Isolate.sleep(3600) end, nil, {timeout = 0.02}))
    assert.equal(Isolate.TimeoutError, getmetatable(err))
  end)

  it("are a TimeoutError when a compute spins longer than its timeout #signal", function()
    local err = failure_of(Isolate.compute(function() while true do end end, nil, {timeout = 0.02}))
    assert.equal(Isolate.TimeoutError, getmetatable(err))
  end)
end)

describe("A wrong argument", function()
  local function nothing() end
  local port, handle, timer_count

  before_each(function()
    port = Isolate.ReceivePort()
    handle = Isolate.spawn(nothing)
    timer_count = 0
  end)

  after_each(function()
    port:close()
    handle:join(GUARD)
    while Isolate.step() do end
    assert.equal(0, timer_count)
    -- No timer was left behind; 0 may be a last message of an isolate that has ended.
    assert.equal(0, Isolate.timeout() or 0)
  end)

  local function count() timer_count = timer_count + 1 end

  -- call → the text its error has to contain
  local cases = {
    {"run", function() Isolate.run(nil) end, "bad argument #1 to 'run' (function expected, got nil)"},
    {"run", function() Isolate.run({}) end, "bad argument #1 to 'run' (function expected, got table)"},
    {"run", function() Isolate.run("print") end, "bad argument #1 to 'run' (function expected, got string)"},
    {"compute", function() Isolate.compute(nil, 1) end,
      "bad argument #1 to 'compute' (function expected, got nil)"},
    {"compute", function() Isolate.compute(nothing, 1, "name") end,
      "bad argument #3 to 'compute' (table expected, got string)"},
    {"spawn", function() Isolate.spawn(nil) end, "bad argument #1 to 'spawn' (function expected, got nil)"},
    {"spawn", function() Isolate.spawn(42) end, "bad argument #1 to 'spawn' (function expected, got number)"},
    {"spawn", function() Isolate.spawn(nothing, nil, 42) end,
      "bad argument #3 to 'spawn' (table expected, got number)"},
    {"async", function() Isolate.async(nil) end, "bad argument #1 to 'async' (function expected, got nil)"},
    {"async", function() Isolate.async(true) end,
      "bad argument #1 to 'async' (function expected, got boolean)"},
    {"sleep", function() Isolate.sleep(nil) end, "bad argument #1 to 'sleep' (number expected, got nil)"},
    {"sleep", function() Isolate.sleep("long") end,
      "bad argument #1 to 'sleep' (number expected, got string)"},
    {"step", function() Isolate.step("long") end, "bad argument #1 to 'step' (number expected, got string)"},
    {"Timer", function() Isolate.Timer(nil, count) end,
      "bad argument #1 to 'Timer' (number expected, got nil)"},
    {"Timer", function() Isolate.Timer("soon", count) end,
      "bad argument #1 to 'Timer' (number expected, got string)"},
    {"Timer", function() Isolate.Timer(0, nil) end, "bad argument #2 to 'Timer' (function expected, got nil)"},
    {"Timer.periodic", function() Isolate.Timer.periodic({}, count) end,
      "bad argument #1 to 'periodic' (number expected, got table)"},
    {"Timer.periodic", function() Isolate.Timer.periodic(1, "count") end,
      "bad argument #2 to 'periodic' (function expected, got string)"},
    {"ReceivePort", function() Isolate.ReceivePort({}) end,
      "bad argument #1 to 'ReceivePort' (string expected, got table)"},
    {"ReceivePort.from_raw", function() Isolate.ReceivePort.from_raw(nil) end,
      "bad argument #1 to 'from_raw' (RawReceivePort expected, got nil)"},
    {"RawReceivePort", function() Isolate.RawReceivePort("print") end,
      "bad argument #1 to 'RawReceivePort' (function expected, got string)"},
    {"listen", function() port:listen(nil) end, "bad argument #1 to 'listen' (function expected, got nil)"},
    {"listen", function() port:listen("print") end,
      "bad argument #1 to 'listen' (function expected, got string)"},
    {"listen", function() port:listen(nothing, nothing) end,
      "bad argument #2 to 'listen' (table expected, got function)"},
    {"receive", function() port:receive("long") end,
      "bad argument #1 to 'receive' (number expected, got string)"},
    {"await", function() Future.value(1):await("long") end,
      "bad argument #1 to 'await' (number expected, got string)"},
    {"next", function() Future.value(1):next(42) end, "bad argument #1 to 'next' (function expected, got number)"},
    {"next", function() Future.value(1):next(nothing, 42) end,
      "bad argument #2 to 'next' (function expected, got number)"},
    {"catch", function() Future.value(1):catch(nil) end,
      "bad argument #1 to 'catch' (function expected, got nil)"},
    {"finally", function() Future.value(1):finally(nil) end,
      "bad argument #1 to 'finally' (function expected, got nil)"},
    {"timeout", function() Future.value(1):timeout(nil) end,
      "bad argument #1 to 'timeout' (number expected, got nil)"},
    {"Future.delayed", function() Future.delayed(nil) end,
      "bad argument #1 to 'delayed' (number expected, got nil)"},
    {"Future.delayed", function() Future.delayed(0, "print") end,
      "bad argument #2 to 'delayed' (function expected, got string)"},
    {"Future.all", function() Future.all(nil) end, "bad argument #1 to 'all' (table expected, got nil)"},
    {"Future.any", function() Future.any(42) end, "bad argument #1 to 'any' (table expected, got number)"},
    {"join", function() handle:join("long") end, "bad argument #1 to 'join' (number expected, got string)"},
    {"kill", function() handle:kill("now") end, "bad argument #1 to 'kill'"},
    {"kill", function() handle:kill(42) end, "bad argument #1 to 'kill'"},
  }

  for i, case in ipairs(cases) do
    local name, call, text = table.unpack(case)
    it("raises and names the function: " .. name .. " (" .. i .. ")", function()
      contains(text, tostring(failure(call)))
    end)
  end

  it("raises where the call was", function()
    local calls = {
      function() Isolate.run(nil) end,
      function() Isolate.async(nil) end,
      function() Isolate.spawn(nothing, nil, {nonsense = 1}) end,
      function() port:listen(nil) end,
      function() Future.value(1):next(42) end,
      function() Isolate.Timer(0, nil) end,
      function() Isolate.sleep("long") end,
    }
    for _, call in ipairs(calls) do
      contains(HERE .. line_of(call) .. ": ", tostring(failure(call)))
    end
  end)

  it("of exit raises, and the isolate goes on", function()
    local ok, err, rest = Isolate.run(function()
      local fine, problem = pcall(Isolate.exit, "nowhere")
      return fine, tostring(problem), "went on"
    end):await(GUARD)
    assert.is_false(ok)
    assert.matches("bad argument #1 to 'exit' %(.*SendPort expected, got string%)", err)
    assert.equal("went on", rest)
  end)

  it("of send raises and names the path", function()
    contains("cannot send message[1]: a coroutine stays in its isolate",
      tostring(failure(function() port.send_port:send({coroutine.create(nothing)}) end)))
  end)

  it("of run raises and names the path, the function's upvalues included", function()
    local stuck = coroutine.create(nothing)
    contains("cannot send argument[2]: a coroutine stays in its isolate",
      tostring(failure(function() Isolate.run(nothing, 1, stuck) end)))
    contains("cannot send fn.upvalue 'stuck': a coroutine stays in its isolate",
      tostring(failure(function() Isolate.run(function() return stuck end) end)))
  end)
end)

describe("An option", function()
  local function nothing() end

  -- The error of fn with these options has to name the option.
  local function assert_named(name, call)
    local err = tostring(failure(call))
    assert.matches("%f[%w_]" .. name .. "%f[^%w_]", err)
  end

  it("that is unknown raises, and is named", function()
    local port <close> = Isolate.ReceivePort()
    assert_named("nam", function() Isolate.spawn(nothing, nil, {nam = "x"}) end)
    assert_named("onexit", function() Isolate.spawn(nothing, nil, {name = "fine", onexit = 1}) end)
    assert_named("memory", function() Isolate.compute(nothing, nil, {memory = 1000000}) end)
    assert_named("ondone", function() port:listen(nothing, {ondone = nothing}) end)
  end)

  it("that belongs to another call raises, and is named", function()
    assert_named("timeout", function() Isolate.spawn(nothing, nil, {timeout = 1}) end)
    assert_named("args", function() Isolate.spawn(nothing, nil, {args = {}}) end)
    assert_named("args", function() Isolate.compute(nothing, nil, {args = {}}) end)
  end)

  it("of a wrong type raises, and is named", function()
    local wrong = {
      name = 42, paused = 1, errors_are_fatal = "yes", on_exit = 42, on_error = "stderr",
      memory_limit = "big", stack_size = "small", path = 42, cpath = {}, libs = "io", grace = "long",
    }
    for key, value in pairs(wrong) do
      assert_named(key, function() Isolate.spawn(nothing, nil, {[key] = value}) end)
    end
    assert_named("timeout", function() Isolate.compute(nothing, nil, {timeout = "long"}) end)
    assert_named("name", function() Isolate.compute(nothing, nil, {name = {}}) end)
    local port <close> = Isolate.ReceivePort()
    assert_named("on_done", function() port:listen(nothing, {on_done = "done"}) end)
  end)

  it("that is wrong leaves a port free for another listen", function()
    local port <close> = Isolate.ReceivePort()
    failure(function() port:listen(nothing, {ondone = nothing}) end)
    local got
    port:listen(function(message) got = message end)
    port.send_port:send("heard")
    while Isolate.step() do end
    assert.equal("heard", got)
  end)
end)
