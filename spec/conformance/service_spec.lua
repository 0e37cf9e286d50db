-- Isolate.serve and Isolate.connect: services of one isolate for all others, as
-- Flutter's background channels are (E7, E8, E15).

local Isolate = require "isolate"

local alone  = require "spec.support.alone"
local helper = require "spec.helper"
local turns  = require "spec.support.turns"

local failure = turns.failure
local GUARD = 60

before_each(alone.begin)
after_each(alone.check)

-- Serves here until the test is over.
local function serve(name, object)
  local serving = Isolate.serve(name, object)
  alone.keep { close = function() serving:cancel() end }
  return serving
end

-- Serves in a new isolate what 'make(...)' returns, until the isolate is told
-- to stop: handle, port.
local function serve_there(name, make)
  local port <close> = Isolate.ReceivePort()
  local iso = Isolate.spawn(function(message)
    local serving = Isolate.serve(message.name, message.make())
    local stop = Isolate.ReceivePort()
    message.to:send(stop.send_port)
    stop:listen(function(how)
      if how == "error" then error("the server failed", 0) end
      stop:close()
      serving:cancel()
    end)
  end, { name = name, make = make, to = port.send_port })
  local stop = port:receive(GUARD)
  alone.keep { close = function()
    stop:send "stop"
    iso:kill()
  end }
  return iso, stop
end

local remote = alone.remote

local function counter()
  local n = 0
  return {
    add = function(_, k) n = n + k return n end,
    get = function() return n end,
    echo = function(_, ...) return ... end,
    sleep = function(_, seconds, ...) Isolate.sleep(seconds) return ... end,
    fail = function(_, value) error(value, 0) end,
    file = function() return 1, io.stdout end,
    constant = 1,
  }
end

describe("E7: a service", function()
  it("of a spawned isolate is called from the main one", function()
    serve_there("counter", counter)
    local c = Isolate.connect "counter"
    c:add(2)
    assert.equal(5, c:add(3):await(GUARD))
    assert.equal(5, c:get():await(GUARD))
  end)

  it("of the main isolate is called from spawned ones (E15: a root service)", function()
    local preferences = { values = {} }
    function preferences:set(key, value) self.values[key] = value end
    function preferences:get(key) return self.values[key], Isolate.is_main end
    serve("preferences", preferences)
    Isolate.run(function() Isolate.connect "preferences":set("colour", "blue"):await() end):await(GUARD)
    assert.same({ colour = "blue" }, preferences.values)
    local value, in_main = Isolate.run(function()
      return Isolate.connect "preferences":get("colour"):await()
    end):await(GUARD)
    assert.equal("blue", value)
    assert.is_true(in_main)
  end)

  it("is called within its own isolate, too", function()
    serve("own", counter())
    assert.equal(1, Isolate.connect "own":add(1):await(GUARD))
  end)

  it("answers with a Future, at once", function()
    serve("own", counter())
    local future = Isolate.connect "own":get()
    assert.is_false(future:is_done())
    future:await(GUARD)
  end)

  it("takes and returns any number of values, nils too", function()
    serve_there("counter", counter)
    local c = Isolate.connect "counter"
    assert.same(table.pack(), table.pack(c:echo():await(GUARD)))
    assert.same(table.pack(nil), table.pack(c:echo(nil):await(GUARD)))
    assert.same(table.pack(nil, 1, nil, false, nil), table.pack(c:echo(nil, 1, nil, false, nil):await(GUARD)))
    local many = {}
    for i = 1, 200 do many[i] = i end
    assert.same(many, { c:echo(table.unpack(many)):await(GUARD) })
  end)

  it("gets copies", function()
    serve("own", counter())
    local list = { 1 }
    local future = Isolate.connect "own":echo(list)
    list[1] = 2
    local back = future:await(GUARD)
    assert.same({ 1 }, back)
  end)

  it("runs calls as tasks: quick answers overtake slow ones", function()
    serve_there("counter", counter)
    local c, order = Isolate.connect "counter", {}
    local slow = c:sleep(0.05, "slow"):next(function(v) order[#order + 1] = v end)
    local quick = c:sleep(0, "quick"):next(function(v) order[#order + 1] = v end)
    slow:await(GUARD)
    quick:await(GUARD)
    assert.same({ "quick", "slow" }, order)
  end)

  it("begins the calls of one caller in their order", function()
    serve_there("log", function()
      local log = {}
      return {
        note = function(_, v) log[#log + 1] = v end,
        all = function() return log end,
      }
    end)
    local log = Isolate.connect "log"
    for i = 1, 20 do log:note(i) end
    local expected = {}
    for i = 1, 20 do expected[i] = i end
    assert.same(expected, log:all():await(GUARD))
  end)

  it("fails with the method's error: its value, text, place and isolate", function()
    serve_there("counter", counter)
    local c = Isolate.connect "counter"
    local e = remote(c:fail { code = 3 })
    assert.same({ code = 3 }, e.value)
    e = remote(c:add "three")
    assert.truthy(e.message:find("attempt to add a 'number' with a 'string'", 1, true))
    assert.truthy(e.traceback:find("service_spec.lua", 1, true))
    assert.truthy(e.isolate:find("service_spec.lua", 1, true))
    assert.equal(0, c:get():await(GUARD))
  end)

  it("fails for a method that there is not", function()
    serve_there("counter", counter)
    local c = Isolate.connect "counter"
    assert.equal("service 'counter' has no method 'nothing'", remote(c:nothing()).message)
    assert.equal("service 'counter' has no method 'constant'", remote(c:constant()).message)
  end)

  it("has methods by metatable, and takes those that were added later", function()
    local Class = { hello = function(self) return "hello " .. self.name end }
    Class.__index = Class
    local object = setmetatable({ name = "you" }, Class)
    serve("object", object)
    local o = Isolate.connect "object"
    assert.equal("hello you", o:hello():await(GUARD))
    function Class:bye() return "bye " .. self.name end
    assert.equal("bye you", o:bye():await(GUARD))
  end)

  it("may have methods of any name", function()
    local object = {}
    for _, name in ipairs { "name", "port", "await", "send", "__tostring", "cancel", "two words" } do
      object[name] = function() return name end
    end
    serve("odd", object)
    local odd = Isolate.connect "odd"
    for name in pairs(object) do
      if name ~= "__tostring" then assert.equal(name, odd[name](odd):await(GUARD)) end
    end
  end)

  it("raises at the call for arguments that cannot be sent", function()
    serve("own", counter())
    local c = Isolate.connect "own"
    assert.truthy(failure(c.echo, c, io.stdout):find(
      "cannot send argument[1]: an open file stays in its isolate", 1, true))
    assert.truthy(failure(c.echo, c, 1, { x = coroutine.create(print) }):find(
      "cannot send argument[2].x: a coroutine stays in its isolate", 1, true))
  end)

  it("raises for a call without the colon", function()
    serve("own", counter())
    local c = Isolate.connect "own"
    assert.truthy(failure(c.add, 1):find(
      "bad argument #1 to 'add' (a method of a service is called as service:add(...))", 1, true))
  end)

  it("fails with results that cannot be sent, and goes on", function()
    serve_there("counter", counter)
    local c = Isolate.connect "counter"
    assert.truthy(remote(c:file()).message:find(
      "cannot send result[2]: an open file stays in its isolate", 1, true))
    assert.equal(1, c:add(1):await(GUARD))
  end)

  it("fails with arguments that cannot be built there, and goes on", function()
    serve_there("counter", counter)
    local c = Isolate.connect "counter"
    local main = Isolate.is_main and "main"
    local broken = setmetatable({}, { __transfer = function()
      return function(where) error("not made for the way from " .. where, 0) end, main
    end })
    assert.truthy(remote(c:echo(broken)).message:find("not made for the way from main", 1, true))
    assert.truthy(remote(c:echo(require "spec.fixtures.main_only")).message:find(
      "only for the main isolate", 1, true))
    assert.equal(1, c:add(1):await(GUARD))
  end)

  it("fails with results that cannot be built here", function()
    serve_there("broken", function()
      return { get = function()
        return setmetatable({}, { __transfer = function()
          return function() error("not for you", 0) end
        end })
      end }
    end)
    local e = remote(Isolate.connect "broken":get())
    assert.truthy(e.message:find("the answer could not be received: ", 1, true))
    assert.truthy(e.message:find("not for you", 1, true))
  end)

  it("stands beside others on one isolate", function()
    serve("a", { who = function() return "a" end })
    serve("b", { who = function() return "b" end })
    assert.equal("a", Isolate.connect "a":who():await(GUARD))
    assert.equal("b", Isolate.connect "b":who():await(GUARD))
  end)

  it("calls another, which calls back", function()
    serve("here", { double = function(_, n) return n * 2 end })
    serve_there("there", function()
      return { quadruple = function(_, n)
        local here = Isolate.connect "here"
        return here:double(here:double(n):await()):await()
      end }
    end)
    assert.equal(20, Isolate.connect "there":quadruple(5):await(GUARD))
  end)

  it("serves many callers at once, each call once", function()
    serve("own", counter())
    local callers = {}
    for i = 1, 4 do
      callers[i] = Isolate.run(function()
        local c = Isolate.connect "own"
        for _ = 1, 25 do c:add(1):await() end
      end)
    end
    for i = 1, 4 do callers[i]:await(GUARD) end
    assert.equal(100, Isolate.connect "own":get():await(GUARD))
  end)
end)

describe("E7: the name of a service", function()
  it("that nobody serves raises at connect", function()
    assert.truthy(failure(Isolate.connect, "nobody"):find("nobody serves 'nobody'", 1, true))
  end)

  it("that is taken raises at serve, from any isolate", function()
    serve("taken", {})
    assert.truthy(failure(Isolate.serve, "taken", {}):find(
      "bad argument #1 to 'serve' ('taken' is served already)", 1, true))
    local message = Isolate.run(function()
      local _, why = pcall(Isolate.serve, "taken", {})
      return why
    end):await(GUARD)
    assert.truthy(message:find("'taken' is served already", 1, true))
  end)

  it("is free again after cancel, which may be called twice", function()
    local serving = Isolate.serve("free", { who = function() return 1 end })
    serving:cancel()
    serving:cancel()
    assert.truthy(failure(Isolate.connect, "free"):find("nobody serves 'free'", 1, true))
    serve("free", { who = function() return 2 end })
    assert.equal(2, Isolate.connect "free":who():await(GUARD))
  end)

  it("is free again at the end of a block with <close>", function()
    do local _ <close> = Isolate.serve("free", {}) end
    serve("free", {})
  end)

  it("is free again when its isolate has ended", function()
    for _, how in ipairs { "stop", "error", "kill" } do
      local iso, stop = serve_there("mortal", counter)
      if how == "error" then iso:add_error_listener(alone.keep(Isolate.ReceivePort()).send_port) end
      if how == "kill" then iso:kill(Isolate.immediate) else stop:send(how) end
      assert.is_true(iso:join(GUARD))
      assert.is_false(pcall(Isolate.connect, "mortal"), how)
    end
  end)

  it("must be a string, and the object a table", function()
    assert.truthy(failure(Isolate.serve, 1, {}):find(
      "bad argument #1 to 'serve' (string expected, got number)", 1, true))
    assert.truthy(failure(Isolate.serve, "x"):find(
      "bad argument #2 to 'serve' (table expected, got nil)", 1, true))
    assert.truthy(failure(Isolate.connect):find(
      "bad argument #1 to 'connect' (string expected, got nil)", 1, true))
  end)

  it("may be any string", function()
    for _, name in ipairs { "", "\0", "a\0b", ("n"):rep(10000) } do
      local _ <close> = Isolate.serve(name, { size = function() return #name end })
      assert.equal(#name, Isolate.connect(name):size():await(GUARD))
    end
  end)
end)

describe("E7: after cancel", function()
  it("calls that came before are answered, later ones fail", function()
    local gate = Isolate.Completer()
    local serving = serve("gate", {
      wait = function() return gate.future:await() end,
      now = function() return "now" end,
    })
    local g = Isolate.connect "gate"
    local before = g:wait()
    turns.pump()
    serving:cancel()
    local after = g:now()
    gate:complete "answered"
    assert.equal("answered", before:await(GUARD))
    assert.equal("'gate' is not served any more", remote(after).message)
  end)

  it("the isolate is not kept alive any more", function()
    local iso, stop = serve_there("brief", counter)
    assert.same({ nil, "timeout" }, { iso:join(0.02) })
    stop:send "stop"
    assert.is_true(iso:join(GUARD))
  end)
end)

describe("E7: when the server dies", function()
  for _, how in ipairs { "kill", "error", "stop" } do
    it("calls that wait and later ones fail at once: " .. how, function()
      local iso, stop = serve_there("mortal", counter)
      iso:add_error_listener(alone.keep(Isolate.ReceivePort()).send_port)
      local c = Isolate.connect "mortal"
      c:get():await(GUARD)
      local waiting = c:echo():next(function() return c:sleep(how == "stop" and 0 or 1000, "done") end)
      c:get():await(GUARD)
      if how == "kill" then iso:kill(Isolate.immediate) else stop:send(how) end
      if how == "stop" then
        assert.equal("done", waiting:await(GUARD))      -- it ends when nothing is left to do
      else
        assert.equal("the isolate that served 'mortal' has ended", remote(waiting).message)
      end
      assert.is_true(iso:join(GUARD))
      assert.equal("the isolate that served 'mortal' has ended", remote(c:get()).message)
    end)
  end

  it("a call fails whose method waits for what never comes", function()
    local _, stop = serve_there("never", function()
      return { wait = function() Isolate.Completer().future:await() end, ready = print }
    end)
    local never = Isolate.connect "never"
    local waiting = never:wait()
    Isolate.sleep(0.01)
    stop:send "stop"
    assert.equal("the isolate that served 'never' has ended", remote(waiting).message)
  end)

  it("in the middle of a method that never returns #signal", function()
    local iso = serve_there("spin", function() return { spin = function() while true do end end } end)
    local waiting = Isolate.connect "spin":spin()
    Isolate.sleep(0.01)
    iso:kill(Isolate.immediate)
    assert.equal("the isolate that served 'spin' has ended", remote(waiting).message)
  end)

  it("by an Isolate.exit in a method", function()
    serve_there("exit", function() return { exit = function() Isolate.exit() end } end)
    assert.equal("the isolate that served 'exit' has ended",
      remote(Isolate.connect "exit":exit()).message)
  end)
end)

describe("E7: a call that is cancelled", function()
  it("fails with a CancelledError, and the service goes on", function()
    serve_there("counter", counter)
    local c = Isolate.connect "counter"
    local slow = c:sleep(0.01, "answer")
    slow:cancel()
    assert.equal("CancelledError", failure(slow.await, slow).name)
    assert.equal(1, c:add(1):await(GUARD))
  end)
end)

describe("E7: a proxy", function()
  it("is sent on, and works there", function()
    serve_there("counter", counter)
    local c = Isolate.connect "counter"
    local back = Isolate.run(function(p)
      p:add(7):await()
      return p
    end, c):await(GUARD)
    assert.is_true(back == c)
    assert.equal(7, back:get():await(GUARD))
  end)

  it("is equal to another of the same service, and differs from those of others", function()
    serve("a", {})
    serve("b", {})
    assert.is_true(Isolate.connect "a" == Isolate.connect "a")
    assert.is_false(Isolate.connect "a" == Isolate.connect "b")
  end)

  it("says whose it is", function()
    serve("shown", {})
    assert.equal("isolate.Proxy: shown", tostring(Isolate.connect "shown"))
  end)

  it("stays with its service when another takes the name", function()
    local serving = Isolate.serve("name", { who = function() return "old" end })
    local old = Isolate.connect "name"
    serving:cancel()
    serve("name", { who = function() return "new" end })
    assert.equal("'name' is not served any more", remote(old:who()).message)
    assert.equal("new", Isolate.connect "name":who():await(GUARD))
  end)

  it("cannot be given a subscription instead: that stays", function()
    local serving = serve("own", {})
    assert.is_false(pcall(Isolate.run, print, serving))
  end)
end)

describe("E8: what belongs to the main isolate", function()
  it("is told by Isolate.is_main, and reached through a service", function()
    serve("main only", { answer = function() return require "spec.fixtures.main_only".answer() end })
    local direct, through = Isolate.run(function()
      local ok = pcall(require, "spec.fixtures.main_only")
      return ok, Isolate.connect "main only":answer():await()
    end):await(GUARD)
    assert.is_false(direct)
    assert.equal(42, through)
  end)
end)

describe("E7: a program that serves", function()
  it("is kept alive by that, and ends when it is cancelled", function()
    local result = helper.lua [[
      local Isolate = require "isolate"
      local serving
      serving = Isolate.serve("stop me", { stop = function() print "asked" serving:cancel() end })
      Isolate.spawn(function() require "isolate".connect "stop me":stop():await() print "stopped" end)
      Isolate.loop()
      Isolate.sleep(0.05)
    ]]
    assert.equal(0, result.status)
    assert.equal("", result.stderr)
    assert.equal("asked\nstopped\n", result.stdout)
  end)
end)
