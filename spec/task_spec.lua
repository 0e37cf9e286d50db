-- task_spec.lua
-- Tasks: who waits at an await, who goes on meanwhile, and in which order.

local Isolate = require "isolate"
local helper = require "spec.helper"

local async, Future = Isolate.async, Isolate.Future
local turns   = require "spec.support.turns"

local pump, new_log, failure = turns.pump, turns.new_log, turns.failure
local GUARD = 10                     -- seconds; only a fault ever waits this long
local opened = {}                    -- ports to close after the test

local function new_port()
  local port = Isolate.ReceivePort()
  opened[#opened + 1] = port
  return port
end

local function failure_of(future)
  return failure(future.await, future, GUARD)
end

-- A Future that comes with value after a turn of the loop.
local function later(value)
  return Future.delayed(0.001, function() return value end)
end

after_each(function()
  for _, port in ipairs(opened) do port:close() end
  opened = {}
  pump()
end)

describe("async", function()
  it("runs its function at once, up to the first wait", function()
    local log, add = new_log()
    local gate = Isolate.Completer()
    local task = async(function()
      add "begins"
      add(gate.future:await())
      add "ends"
    end)
    add "caller goes on"
    gate:complete "gate opens"
    task:await()
    assert.same({"begins", "caller goes on", "gate opens", "ends"}, log)
  end)

  it("runs a function that never waits to its end", function()
    local log, add = new_log()
    local task = async(function() add "all of it" end)
    assert.same({"all of it"}, log)
    task:await()
  end)

  it("hands over all arguments, nils too", function()
    local got
    async(function(...) got = table.pack(...) end, nil, 2, nil):await()
    assert.same(table.pack(nil, 2, nil), got)
  end)

  it("has all that its function returns, nils too", function()
    assert.same(table.pack(nil, "b", nil), table.pack(async(function() return nil, "b", nil end):await()))
    assert.same(table.pack(), table.pack(async(function() end):await()))
    local task = async(function() return later("first"):await(), nil, later("third"):await(), nil end)
    assert.same(table.pack("first", nil, "third", nil), table.pack(task:await()))
  end)

  it("gives the value itself, not a copy", function()
    local value = setmetatable({}, {__gc = function() end})
    assert.is_true(rawequal(value, async(function() return value end):await()))
  end)

  it("keeps its variables and its place over any number of waits", function()
    local task = async(function()
      local sum = 0
      for i = 1, 50 do
        local part = Isolate.Completer()
        Isolate.Timer(0, function() part:complete(i) end)
        sum = sum + part.future:await()
      end
      return sum
    end)
    assert.equal(1275, task:await(GUARD))
  end)

  it("goes on when nobody holds its Future", function()
    local log, add = new_log()
    do
      async(function()
        Isolate.sleep(0.01)
        add "still here"
      end)
    end
    collectgarbage()
    collectgarbage()
    Isolate.loop()
    assert.same({"still here"}, log)
  end)

  it("may be called in a task, and runs at once there, too", function()
    local log, add = new_log()
    local outer = async(function()
      add "outer begins"
      local inner = async(function()
        add "inner begins"
        later():await()
        add "inner ends"
        return "inner value"
      end)
      add "outer goes on"
      return inner:await()
    end)
    assert.equal("inner value", outer:await())
    assert.same({"outer begins", "inner begins", "outer goes on", "inner ends"}, log)
  end)
end)

describe("await in a task", function()
  it("interleaves two tasks that wait crosswise", function()
    local log, add = new_log()
    local ping, pong, done = Isolate.Completer(), Isolate.Completer(), Isolate.Completer()
    local left = async(function()
      add "left 1"
      add("left got " .. ping.future:await())
      pong:complete "pong"
      add("left got " .. done.future:await())
    end)
    local right = async(function()
      add "right 1"
      ping:complete "ping"
      add("right got " .. pong.future:await())
      done:complete "done"
      add "right 2"
    end)
    left:await()
    right:await()
    assert.same({"left 1", "right 1", "left got ping", "right got pong", "right 2", "left got done"}, log)
  end)

  it("interleaves two tasks that wait for each other's ports", function()
    local left_box, right_box = new_port(), new_port()
    local log, add = new_log()
    local function player(name, inbox, outbox)
      for i = 1, 3 do
        add(name .. " got " .. inbox:receive())
        outbox.send_port:send(name .. " " .. i)
      end
    end
    local left = async(player, "left", left_box, right_box)
    local right = async(player, "right", right_box, left_box)
    left_box.send_port:send("serve")
    Future.all({left, right}):await(GUARD)
    assert.same({
      "left got serve", "right got left 1", "left got right 1",
      "right got left 2", "left got right 2", "right got left 3",
    }, log)
  end)

  it("interleaves two tasks that wait crosswise in a spawned isolate", function()
    local answer = Isolate.run(function()
      local log = {}
      local ping, pong = Isolate.Completer(), Isolate.Completer()
      local left = Isolate.async(function()
        local got = ping.future:await()
        log[#log + 1] = "left got " .. got
        pong:complete("pong")
      end)
      local right = Isolate.async(function()
        ping:complete("ping")
        local got = pong.future:await()
        log[#log + 1] = "right got " .. got
      end)
      left:await()
      right:await()
      return log
    end)
    assert.same({"left got ping", "right got pong"}, answer:await(GUARD))
  end)

  it("lets a task wait for two isolates at once", function()
    local task = async(function()
      local a = Isolate.run(function(n) return n + 1 end, 1)
      local b = Isolate.run(function(n) return n + 1 end, 2)
      return a:await() + b:await()
    end)
    assert.equal(5, task:await(GUARD))
  end)

  it("is nested to any depth of tasks that wait for tasks", function()
    local function descend(level)
      if level == 0 then return later("bottom"):await() end
      return async(descend, level - 1):await() .. "."
    end
    assert.equal("bottom" .. ("."):rep(20), async(descend, 20):await(GUARD))
  end)

  it("waits in the middle of an expression, and of a nested call", function()
    local function add(a, b) return a + b end
    local task = async(function()
      local t = {later(1):await(), add(later(2):await(), later(3):await()), x = later(4):await()}
      return t[1], t[2], t.x
    end)
    assert.same({1, 5, 4}, {task:await()})
  end)

  it("waits inside pcall, where only this task waits", function()
    local gate = Isolate.Completer()
    local log, add = new_log()
    local task = async(function()
      local ok, err = pcall(function()
        add "inside"
        gate.future:await()
      end)
      add(tostring(ok) .. " " .. err)
    end)
    add "outside"
    gate:complete_error("closed gate")
    task:await()
    assert.same({"inside", "outside", "false closed gate"}, log)
  end)

  it("waits inside xpcall, whose handler sees the error", function()
    local gate = Isolate.Completer()
    local task = async(function()
      return xpcall(function() return gate.future:await() end, function(err) return "handled " .. err end)
    end)
    gate:complete_error("error")
    assert.same({false, "handled error"}, {task:await()})
  end)

  it("waits inside an iterator and a metamethod, where only this task waits", function()
    local gate = Isolate.Completer()
    local log, add = new_log()
    local lazy = setmetatable({}, {__index = function(_, key) return key .. gate.future:await() end})
    local task = async(function()
      local n = 0
      for value in function()
        n = n + 1
        if n <= 2 then return lazy["key" .. n] end
      end do
        add(value)
      end
    end)
    add "outside"
    gate:complete "!"
    task:await()
    assert.same({"outside", "key1!", "key2!"}, log)
  end)

  it("waits in a __close handler, where only this task waits", function()
    local gate = Isolate.Completer()
    local log, add = new_log()
    local task = async(function()
      do
        local _ <close> = setmetatable({}, {__close = function() add(gate.future:await()) end})
      end
      add "after the block"
    end)
    add "outside"
    gate:complete "closed"
    task:await()
    assert.same({"outside", "closed", "after the block"}, log)
  end)

  it("wakes ten thousand tasks that wait for one Future, in the order in which they came #slow", function()
    local gate = Isolate.Completer()
    local order = {}
    for i = 1, 10000 do
      async(function()
        gate.future:await()
        order[#order + 1] = i
      end)
    end
    gate:complete()
    pump()
    assert.equal(10000, #order)
    for i = 1, 10000 do
      if order[i] ~= i then assert.equal(i, order[i]) end
    end
  end)
end)

describe("await anywhere else", function()
  it("runs the loop from the main chunk until the Future is done", function()
    local log, add = new_log()
    Isolate.Timer(0, function() add "timer" end)
    async(function()
      later():await()
      add "task"
    end)
    add(Future.delayed(0.05, function() return "main" end):await())
    assert.same({"timer", "task", "main"}, log)
  end)

  it("runs the loop from the main chunk of a program", function()
    local result = helper.lua [[
      local Isolate = require "isolate"
      Isolate.Timer(0, function() print "timer" end)
      print(Isolate.run(function(a, b) return a + b, nil, "three" end, 19, 23):await())
      print(Isolate.Future.delayed(0.05, function() return "later" end):await())
    ]]
    assert.equal("", result.stderr)
    assert.equal(0, result.status)
    local lines = {}
    for line in result.stdout:gmatch("[^\n]+") do lines[#lines + 1] = line end
    table.sort(lines)
    assert.same({"42\tnil\tthree", "later", "timer"}, lines)
  end)

  it("returns as soon as its Future is done, and leaves the rest for later", function()
    local log, add = new_log()
    local far = Isolate.Timer(3600, function() add "far" end)
    assert.equal("near", later("near"):await())
    assert.is_true(far:is_active())
    far:cancel()
    assert.same({}, log)
  end)

  it("runs the loop from a coroutine of your own, which never yields for it", function()
    local co = coroutine.create(function() return later("value"):await() end)
    assert.same({true, "value"}, {coroutine.resume(co)})
    assert.equal("dead", coroutine.status(co))
  end)

  it("lets a coroutine of your own yield between two waits", function()
    local log, add = new_log()
    local words = coroutine.wrap(function()
      coroutine.yield(later("one"):await())
      coroutine.yield(later("two"):await())
    end)
    for word in words do add(word) end
    assert.same({"one", "two"}, log)
  end)

  it("serves a coroutine.wrap iterator inside a task", function()
    local log, add = new_log()
    local task = async(function()
      local words = coroutine.wrap(function()
        for i = 1, 3 do coroutine.yield(later(i):await()) end
      end)
      for word in words do add(word) end
      add(later("the task itself"):await())
    end)
    task:await(GUARD)
    assert.same({1, 2, 3, "the task itself"}, log)
  end)

  it("runs the loop inside require", function()
    package.preload["spec.task_module"] = function()
      return {value = later("loaded"):await()}
    end
    local ok, module = pcall(require, "spec.task_module")
    package.preload["spec.task_module"], package.loaded["spec.task_module"] = nil, nil
    assert.is_true(ok, module)
    assert.equal("loaded", module.value)
  end)

  it("runs the loop inside require inside a task", function()
    package.preload["spec.task_module"] = function()
      return {value = later("loaded"):await()}
    end
    local ok, module = async(function()
      later():await()
      return pcall(require, "spec.task_module")
    end):await(GUARD)
    package.preload["spec.task_module"], package.loaded["spec.task_module"] = nil, nil
    assert.is_true(ok, module)
    assert.equal("loaded", module.value)
  end)

  it("runs the loop inside table.sort", function()
    local list = {3, 1, 5, 2, 4}
    table.sort(list, function(a, b) return later(a < b):await() end)
    assert.same({1, 2, 3, 4, 5}, list)
  end)

  it("runs the loop inside table.sort inside a task", function()
    local list = async(function()
      local numbers = {3, 1, 5, 2, 4}
      table.sort(numbers, function(a, b) return later(a < b):await() end)
      return numbers
    end):await(GUARD)
    assert.same({1, 2, 3, 4, 5}, list)
  end)

  it("runs the loop inside string.gsub", function()
    local text = ("a-b-c"):gsub("%a", function(letter) return later(letter:upper()):await() end)
    assert.equal("A-B-C", text)
  end)

  it("runs the loop inside string.gsub inside a task", function()
    local task = async(function()
      local text = ("a-b-c"):gsub("%a", function(letter) return later(letter:upper()):await() end)
      return text .. later("!"):await()
    end)
    assert.equal("A-B-C!", task:await(GUARD))
  end)

  it("runs the loop inside pcall, and raises there", function()
    local ok, err = pcall(function()
      Future.delayed(0, function() error("too late", 0) end):await()
    end)
    assert.is_false(ok)
    assert.equal("too late", err)
  end)

  it("lets other tasks go on, which the waiting one may need", function()
    local log, add = new_log()
    local helped = Isolate.Completer()
    async(function()
      add(later("helper works"):await())
      helped:complete(true)
    end)
    local list = {2, 1}
    table.sort(list, function(a, b) return helped.future:await() and a < b end)
    add "sorted"
    assert.same({"helper works", "sorted"}, log)
    assert.same({1, 2}, list)
  end)

  it("lets tasks go on that wait outside of the one that runs the loop", function()
    local log, add = new_log()
    local outer = async(function()
      add(Future.delayed(0.02, function() return "outer" end):await())
    end)
    local sorter = async(function()
      later():await()
      local list = {2, 1}
      table.sort(list, function(a, b)
        outer:await()
        return a < b
      end)
      add "sorted"
      return list
    end)
    assert.same({1, 2}, sorter:await(GUARD))
    assert.same({"outer", "sorted"}, log)
  end)

  it("handles port messages while it waits", function()
    local port = new_port()
    local log, add = new_log()
    port:listen(add)
    port.send_port:send("message")
    later():await()
    assert.same({"message"}, log)
  end)
end)

describe("What follows an event", function()
  it("comes before the next message: a next callback", function()
    local port = new_port()
    local log, add = new_log()
    port:listen(function(message)
      local completer = Isolate.Completer()
      completer.future:next(function() add("after " .. message) end)
      completer:complete()
      add("message " .. message)
    end)
    port.send_port:send(1)
    port.send_port:send(2)
    pump()
    assert.same({"message 1", "after 1", "message 2", "after 2"}, log)
  end)

  it("comes before the next message: a task that was woken", function()
    local port = new_port()
    local log, add = new_log()
    local gate = Isolate.Completer()
    async(function()
      gate.future:await()
      add "task goes on"
    end)
    port:listen(function(message)
      add("message " .. message)
      if message == 1 then gate:complete() end
    end)
    port.send_port:send(1)
    port.send_port:send(2)
    pump()
    assert.same({"message 1", "task goes on", "message 2"}, log)
  end)

  it("comes before the next message: a whole chain", function()
    local port = new_port()
    local log, add = new_log()
    port:listen(function(message)
      add("message " .. message)
      if message == 1 then
        Future.value():next(function() add "one" end)
          :next(function() return Future.value("two") end)
          :next(function(value)
            add(value)
            async(function()
              Future.value():await()
              add "three"
            end)
          end)
      end
    end)
    port.send_port:send(1)
    port.send_port:send(2)
    pump()
    assert.same({"message 1", "one", "two", "three", "message 2"}, log)
  end)

  it("comes before the next timer", function()
    local log, add = new_log()
    for i = 1, 2 do
      Isolate.Timer(0, function()
        add("timer " .. i)
        Future.value():next(function() add("after " .. i) end)
      end)
    end
    Isolate.loop()
    assert.same({"timer 1", "after 1", "timer 2", "after 2"}, log)
  end)

  it("comes before the next message: a receiver that got the first", function()
    local box, other = new_port(), new_port()
    local log, add = new_log()
    async(function() add("received " .. box:receive()) end)
    other:listen(function(message) add("listened " .. message) end)
    box.send_port:send(1)
    other.send_port:send(2)
    pump()
    assert.same({"received 1", "listened 2"}, log)
  end)
end)

describe("An error in a task", function()
  it("fails its Future, with the value itself", function()
    for _, value in ipairs {"text", 42, true, false, {}, print} do
      local now = async(function() error(value, 0) end)
      assert.is_true(rawequal(value, failure_of(now)))
      local after_wait = async(function()
        later():await()
        error(value, 0)
      end)
      assert.is_true(rawequal(value, failure_of(after_wait)))
    end
  end)

  it("fails its Future with nil, too", function()
    assert.is_nil(failure_of(async(function() error(nil) end)))
  end)

  it("says where it happened", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local err = failure_of(async(function() error("here") end))
    assert.matches("task_spec.lua:" .. line .. ": here", err, 1, true)
  end)

  it("does not reach the caller of async", function()
    local task
    assert.has_no.errors(function() task = async(function() error("inside") end) end)
    assert.is_true(task:is_done())
    failure_of(task)
  end)

  it("is raised by await in the task that waits for it, where it can be caught", function()
    local err = {}
    local outer = async(function()
      local inner = async(function()
        later():await()
        error(err)
      end)
      local ok, got = pcall(inner.await, inner)
      return ok, got
    end)
    local ok, got = outer:await()
    assert.is_false(ok)
    assert.is_true(rawequal(err, got))
  end)

  it("goes through all tasks that wait for each other and catch nothing", function()
    local err = {}
    local function descend(level)
      if level == 0 then
        later():await()
        error(err)
      end
      async(descend, level - 1):await()
    end
    assert.is_true(rawequal(err, failure_of(async(descend, 10))))
  end)

  it("leaves other tasks alone", function()
    local gate = Isolate.Completer()
    local good = async(function() return gate.future:await() .. " and well" end)
    local bad = async(function()
      gate.future:await()
      error("bad", 0)
    end)
    gate:complete("alive")
    assert.equal("alive and well", good:await())
    assert.equal("bad", failure_of(bad))
  end)

  it("closes the task's variables that are to be closed", function()
    local log, add = new_log()
    local task = async(function()
      local _ <close> = setmetatable({}, {__close = function(_, err) add("closed by " .. err) end})
      later():await()
      error("the error", 0)
    end)
    assert.equal("the error", failure_of(task))
    assert.same({"closed by the error"}, log)
  end)
end)

describe("coroutine.yield", function()
  it("is an error of the task that calls it outside of a coroutine of its own", function()
    local err = failure_of(async(function() coroutine.yield("what for?") end))
    assert.matches("yield", tostring(err), 1, true)
  end)

  it("is an error after a wait, too, and leaves other tasks alone", function()
    local good = async(function() return later("good"):await() end)
    local bad = async(function()
      later():await()
      coroutine.yield()
    end)
    assert.matches("yield", tostring(failure_of(bad)), 1, true)
    assert.equal("good", good:await())
  end)

  it("without values is not taken for a wait", function()
    local port = new_port()
    local task = async(function()
      coroutine.yield()
      return "never"
    end)
    assert.is_true(task:is_done())
    failure_of(task)
    port.send_port:send("the loop goes on")
    assert.equal("the loop goes on", port:receive(GUARD))
  end)

  it("closes the task's variables that are to be closed", function()
    local log, add = new_log()
    local task = async(function()
      local _ <close> = setmetatable({}, {__close = function() add "closed" end})
      coroutine.yield()
    end)
    failure_of(task)
    assert.same({"closed"}, log)
  end)

  it("works inside a task in coroutines of its own", function()
    local log, add = new_log()
    local task = async(function()
      local numbers = coroutine.wrap(function()
        for i = 1, 3 do coroutine.yield(i) end
      end)
      for number in numbers do
        add(number)
        later():await()
      end
    end)
    task:await()
    assert.same({1, 2, 3}, log)
  end)
end)

describe("A task", function()
  it("is what a function given to run is", function()
    local answer = Isolate.run(function()
      local log = {}
      local other = Isolate.async(function()
        log[#log + 1] = "other begins"
        Isolate.sleep(0.001)
        log[#log + 1] = "other ends"
      end)
      log[#log + 1] = "function waits"
      other:await()
      log[#log + 1] = "function ends"
      return log
    end)
    assert.same({"other begins", "function waits", "other ends", "function ends"}, answer:await(GUARD))
  end)

  it("is what a function given to spawn is: its ports are served while it waits", function()
    local port = new_port()
    Isolate.spawn(function(out)
      local inbox = Isolate.ReceivePort()
      local gate = Isolate.Completer()
      inbox:listen(function(message)
        inbox:close()
        gate:complete(message)
      end)
      out:send(inbox.send_port)
      out:send("the function got " .. gate.future:await())
    end, port.send_port)
    port:receive(GUARD):send("its message")
    assert.equal("the function got its message", port:receive(GUARD))
  end)

  it("is what a timer's function is", function()
    local log, add = new_log()
    local gate = Isolate.Completer()
    Isolate.Timer(0, function()
      add "waits"
      add(gate.future:await())
    end)
    Isolate.Timer(0, function()
      add "the other timer"
      gate:complete("goes on")
    end)
    Isolate.loop()
    assert.same({"waits", "the other timer", "goes on"}, log)
  end)
end)
