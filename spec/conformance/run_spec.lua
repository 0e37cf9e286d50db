-- Isolate.run and its seven outcomes. Ids are those of Dart's behaviour (A1-A8,
-- A18, A19; 2.6).

local Isolate = require "isolate"

local alone  = require "spec.support.alone"
local helper = require "spec.helper"
local turns  = require "spec.support.turns"

local failure, keep = turns.failure, alone.keep
local GUARD = 60

before_each(alone.begin)
after_each(alone.check)

local remote = alone.remote

local WITHOUT = "computation ended without result"

local function answer() return "from " .. (Isolate.is_main and "here" or "there") end

local Shape = { __name = "Shape" }
Shape.__index = Shape
function Shape:area() return self.w * self.h end

describe("A1: Isolate.run", function()
  it("takes a named function: spawns, runs, brings back, ends", function()
    assert.equal("from there", Isolate.run(answer):await(GUARD))
    assert.is_truthy(helper.eventually(function() return #Isolate.list() == 1 end, GUARD))
  end)

  it("A2: takes a closure written inline", function()
    local parts = { "a", "b" }
    assert.equal("a-b", Isolate.run(function() return table.concat(parts, "-") end):await(GUARD))
  end)

  it("A3: captures locals by value", function()
    local list = { 1, 2, 3 }
    local sum = Isolate.run(function()
      local n = 0
      for i, v in ipairs(list) do
        n = n + v
        list[i] = 0
      end
      return n
    end)
    list[1] = 100
    assert.equal(6, sum:await(GUARD))
    assert.same({ 100, 2, 3 }, list)
  end)

  it("A4: awaits an async body there; the caller sees no difference", function()
    assert.equal("waited", Isolate.run(function()
      Isolate.sleep(0.001)
      return Isolate.Future.delayed(0.001, function() return "waited" end):await()
    end):await(GUARD))
    assert.equal("future", Isolate.run(function()
      return Isolate.Future.delayed(0.001, function() return "future" end)
    end):await(GUARD))
  end)

  it("A5: is always a Future, and the caller goes on at once", function()
    local port = keep(Isolate.ReceivePort())
    local to = port.send_port
    local future = Isolate.run(function()
      local go = Isolate.ReceivePort()
      to:send(go.send_port)
      go:receive()
      go:close()
      return "late"
    end)
    assert.is_false(future:is_done())
    port:receive(GUARD):send "go"
    assert.equal("late", future:await(GUARD))
    assert.is_true(future:is_done())
  end)

  it("A6: brings back a large result, with its classes", function()
    local shapes = Isolate.run(function()
      local list = {}
      for i = 1, 20000 do list[i] = setmetatable({ w = i, h = 2 }, Shape) end
      return list
    end):await(GUARD)
    assert.equal(20000, #shapes)
    assert.equal(40000, shapes[20000]:area())
    assert.equal(getmetatable(shapes[1]), getmetatable(shapes[2]))
  end)

  it("A7: leaves nothing of the isolate, whatever was open in it", function()
    assert.equal(1, Isolate.run(function()
      Isolate.ReceivePort():listen(print)
      Isolate.Timer.periodic(0.001, function() end)
      Isolate.async(Isolate.sleep, 1000)
      return 1
    end):await(GUARD))
  end)

  it("A8: takes no argument, or any number", function()
    assert.equal(0, Isolate.run(function(...) return select("#", ...) end):await(GUARD))
    local got = table.pack(Isolate.run(function(...) return select("#", ...), ... end,
      nil, 2, nil):await(GUARD))
    assert.same({ n = 4, 3, nil, 2, nil }, got)
  end)

  it("A18, C11: may block: only its own isolate stands still", function()
    local path, ticks = helper.tempdir() .. "/go", 0
    local future = Isolate.run(function()
      os.execute("until [ -e " .. path .. " ]; do sleep 0.01; done")
      return "slept"
    end)
    Isolate.Timer.periodic(0.001, function(timer)
      ticks = ticks + 1
      if ticks < 5 then return end
      helper.write(path, "")
      timer:cancel()
    end)
    assert.equal("slept", future:await(GUARD))
    assert.equal(5, ticks)
  end)

  it("A12: runs several at once, each its own answer", function()
    local list = {}
    for i = 1, 6 do list[i] = Isolate.run(function() return i * i end) end
    assert.same({ n = 6, 1, 4, 9, 16, 25, 36 }, Isolate.Future.all(list):await(GUARD))
  end)

  it("raises at the call for what is no function", function()
    assert.truthy(failure(Isolate.run):find(
      "bad argument #1 to 'run' (function expected, got nil)", 1, true))
  end)

  it("names the isolate after its function", function()
    assert.truthy(Isolate.run(function() return Isolate.current.name end):await(GUARD)
      :find("^run_spec%.lua:%d+$"))
  end)
end)

describe("2.6.1: a value", function()
  local many = {}
  for i = 1, 250 do many[i] = i end
  local cases = {
    { "nothing", function() end, n = 0 },
    { "nil", function() return nil end, n = 1 },
    { "false", function() return false end, n = 1, false },
    { "nils around a value", function() return nil, 1, nil end, n = 3, nil, 1, nil },
    { "many values", function() return table.unpack(many) end, n = 250, table.unpack(many) },
    { "a table that looks like an error", function() return { message = "m", traceback = "t" } end,
      n = 1, { message = "m", traceback = "t" } },
    { "a list of one, of two", function() return { 1 }, { 1, 2 } end, n = 2, { 1 }, { 1, 2 } },
    { "false and a text", function() return false, "no error" end, n = 2, false, "no error" },
    { "an error object that is returned", function() return Isolate.TimeoutError "late".message end,
      n = 1, "late" },
  }
  for _, case in ipairs(cases) do
    it("completes the Future: " .. case[1], function()
      local got = table.pack(Isolate.run(case[2]):await(GUARD))
      assert.equal(case.n, got.n)
      for i = 1, case.n do assert.same(case[2 + i], got[i]) end
    end)
  end

  it("completes the Future: a string of many bytes", function()
    local text = Isolate.run(function() return ("\0\255x"):rep(1000000) end):await(GUARD)
    assert.equal(3000000, #text)
    assert.equal("\0\255x", text:sub(-3))
  end)

  it("of a Future is that of what it completes with, or its error", function()
    local e = remote(Isolate.run(function() return Isolate.Future.error "later" end))
    assert.equal("later", e.message)
  end)
end)

describe("2.6.2: an error", function()
  it("that is a string: a RemoteError with message, value, traceback, isolate", function()
    local e = remote(Isolate.run(function() error "boom" end))
    assert.truthy(e.message:find("run_spec.lua:%d+: boom$"))
    assert.equal(e.message, e.value)
    assert.truthy(e.traceback:find("run_spec.lua", 1, true))
    assert.truthy(e.isolate:find("^run_spec%.lua:%d+$"))
    assert.equal(e.message .. "\n" .. e.traceback, tostring(e))
    assert.equal("RemoteError", e.name)
  end)

  it("that is a table: its fields are kept", function()
    local e = remote(Isolate.run(function() error { code = 404, list = { 1 } } end))
    assert.same({ code = 404, list = { 1 } }, e.value)
  end)

  it("that is an object of a class: it is one of its class", function()
    local geometry = require "spec.fixtures.geometry"
    local e = remote(Isolate.run(function() error(geometry.Point.new(3, 4)) end))
    assert.equal(geometry.Point, getmetatable(e.value))
    assert.equal(5.0, e.value:norm())
  end)

  it("that is one of the library's own", function()
    local e = remote(Isolate.run(function() error(Isolate.TimeoutError "too late") end))
    assert.equal(Isolate.TimeoutError, getmetatable(e.value))
    assert.equal("TimeoutError: too late", e.message)
  end)

  it("that is nil, a number, false", function()
    for _, value in ipairs { false, 42 } do
      local e = remote(Isolate.run(function() error(value) end))
      assert.equal(value, e.value)
      assert.equal(tostring(value), e.message)
    end
    assert.equal("nil", remote(Isolate.run(function() error(nil) end)).message)
  end)

  it("of an async body: the same", function()
    local e = remote(Isolate.run(function()
      Isolate.sleep(0.001)
      error { after = "a wait" }
    end))
    assert.same({ after = "a wait" }, e.value)
    assert.truthy(e.traceback:find("run_spec.lua", 1, true))
  end)

  it("over two isolates: value and both places", function()
    local e = remote(Isolate.run(function()
      Isolate.run(function() error { deep = true } end):await()
    end))
    assert.same({ deep = true }, e.value.value)
    local _, count = e.traceback:gsub("run_spec.lua", "")
    assert.is_true(count >= 2)
  end)

  it("is raised at every await", function()
    local future = Isolate.run(function() error({ 1 }, 0) end)
    local first = failure(future.await, future, GUARD)
    assert.equal(first, failure(future.await, future))
  end)

  it("that nobody caught in the main program ends it with its traceback", function()
    local result = helper.lua [[
      local Isolate = require "isolate"
      Isolate.run(function() error "over there" end):await()
    ]]
    assert.equal(1, result.status)
    assert.truthy(result.stderr:find("script.lua:2: over there", 1, true))
  end)
end)

describe("2.6.3: an error that cannot be sent", function()
  it("is a RemoteError of its text", function()
    local e = remote(Isolate.run(function()
      error(setmetatable({ io.stdout }, { __tostring = function() return "with a file" end }))
    end))
    assert.equal("with a file", e.message)
    assert.is_nil(e.value)
    assert.truthy(e.traceback:find("run_spec.lua", 1, true))
  end)
end)

describe("2.6.4: a result that cannot be sent", function()
  it("is a RemoteError that says where", function()
    assert.equal("cannot send result[2].log: an open file stays in its isolate",
      remote(Isolate.run(function() return 1, { log = io.stdout } end)).message:match "cannot send.*")
  end)

  it("of a __transfer that fails is that error", function()
    assert.truthy(remote(Isolate.run(function()
      return setmetatable({}, { __transfer = function() error("not packed", 0) end })
    end)).message:find("not packed", 1, true))
  end)

  it("that cannot be built here says so", function()
    local e = remote(Isolate.run(function()
      return setmetatable({}, { __transfer = function()
        return function() error("not built", 0) end
      end })
    end))
    assert.truthy(e.message:find("the answer could not be received: ", 1, true))
    assert.truthy(e.message:find("not built", 1, true))
  end)
end)

describe("2.6.5: an uncaught error beside the computation", function()
  it("of a timer fails the Future", function()
    local e = remote(Isolate.run(function()
      Isolate.Timer(0, function() error("in a timer", 0) end)
      Isolate.sleep(1000)
    end))
    assert.equal("in a timer", e.message)
    assert.truthy(e.traceback:find("run_spec.lua", 1, true))
  end)

  it("of a handler fails the Future", function()
    assert.equal("in a handler", remote(Isolate.run(function()
      local port = Isolate.ReceivePort()
      port:listen(function(v) error(v, 0) end)
      port.send_port:send "in a handler"
      Isolate.sleep(1000)
    end)).message)
  end)

  it("of a Future that nobody heard fails it when it is judged", function()
    assert.equal("unheard", remote(Isolate.run(function()
      Isolate.async(error, "unheard", 0)
      collectgarbage()
      collectgarbage()
      Isolate.sleep(0.001)
      return "an answer"
    end)).message)
  end)
end)

describe("2.6.6: no answer", function()
  it("from one that waits for what never comes", function()
    local e = remote(Isolate.run(function() Isolate.Completer().future:await() end))
    assert.equal(WITHOUT, e.message)
    assert.truthy(e.isolate:find("^run_spec%.lua:%d+$"))
    assert.is_nil(e.value)
  end)

  it("from one that is killed, by anyone, while it is awaited", function()
    local port = keep(Isolate.ReceivePort())
    local to = port.send_port
    local future = Isolate.run(function()
      to:send(Isolate.current)
      Isolate.sleep(1000)
    end)
    local iso = port:receive(GUARD)
    Isolate.Timer(0.005, function() iso:kill(Isolate.immediate) end)
    assert.equal(WITHOUT, remote(future).message)
  end)

  it("from one that kills itself, exits, or calls os.exit #signal", function()
    for _, fn in ipairs {
      function() Isolate.current:kill(Isolate.immediate) while true do end end,
      function() Isolate.exit() end,
      function() os.exit(0) end,
    } do
      assert.equal(WITHOUT, remote(Isolate.run(fn)).message)
    end
  end)

  it("from one that exits with a message elsewhere", function()
    local port = keep(Isolate.ReceivePort())
    local to = port.send_port
    local future = Isolate.run(function() Isolate.exit(to, "elsewhere") end)
    assert.equal(WITHOUT, remote(future).message)
    assert.equal("elsewhere", port:receive(GUARD))
  end)
end)

describe("2.6.7: what cannot be sent to it", function()
  it("raises at the call; nothing is started, nothing stays open", function()
    local file = io.stdout
    assert.truthy(failure(Isolate.run, function() return file end):find(
      "cannot send fn.upvalue 'file': an open file stays in its isolate", 1, true))
    assert.truthy(failure(Isolate.run, print, 1, { Isolate.Completer().future }):find(
      "cannot send argument[2][1]: a Future stays in its isolate", 1, true))
    assert.equal(1, #Isolate.list())
  end)

  it("that cannot be built there fails the Future", function()
    local broken = setmetatable({}, { __transfer = function()
      return function() error("not built there", 0) end
    end })
    assert.truthy(remote(Isolate.run(print, broken)).message:find("not built there", 1, true))
    assert.truthy(remote(Isolate.run(function(m) return m end,
      require "spec.fixtures.main_only")).message:find("only for the main isolate", 1, true))
  end)

  it("2.4.4: is only what the function uses: a sibling's capture stays at home", function()
    local file, object = io.stdout, { 1 }
    local _ = function() return file end
    assert.same({ 1 }, Isolate.run(function() return object end):await(GUARD))
  end)
end)

describe("2.6: beyond Dart", function()
  it("cancel kills the isolate #signal", function()
    local future = Isolate.run(function() while true do end end)
    future:cancel()
    assert.equal("CancelledError", failure(future.await, future).name)
  end)

  it("await has a timeout; the work goes on", function()
    local port = keep(Isolate.ReceivePort())
    local to = port.send_port
    local future = Isolate.run(function()
      local go = Isolate.ReceivePort()
      to:send(go.send_port)
      go:receive()
      go:close()
      return "done"
    end)
    local e = failure(future.await, future, 0.005)
    assert.equal("TimeoutError", e.name)
    assert.equal("the Future was not done after 0.005 seconds", e.message)
    port:receive(GUARD):send "go"
    assert.equal("done", future:await(GUARD))
  end)
end)

describe("A19: a long-lived isolate", function()
  it("answers many requests without starting anew", function()
    local port = keep(Isolate.ReceivePort())
    local iso = Isolate.spawn(function(to)
      local inbox <close> = Isolate.ReceivePort()
      to:send(inbox.send_port)
      for i, v in inbox:messages() do
        if v == "bye" then break end
        to:send { i, v * 2, Isolate.current }
      end
    end, port.send_port)
    local there = port:receive(GUARD)
    for i = 1, 100 do
      there:send(i)
      assert.same({ i, i * 2, iso }, port:receive(GUARD))
    end
    there:send "bye"
    assert.is_true(iso:join(GUARD))
  end)
end)
