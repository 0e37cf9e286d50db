-- host_spec.lua
-- Hosts written in C (spec/host/*.c): several states in one process, on one
-- thread and on many, closed in any order while their isolates run (pains 3,
-- 33); a host that forks (pain 40); a host with a signal handler of its own.

local compile = require "spec.support.compile"
local helper = require "spec.helper"

local GUARD = 30 * helper.slow -- seconds

local function quoted(s) return "'" .. s:gsub("'", [['\'']]) .. "'" end

-- Shell assignments that let a host find the modules this spec finds.
local function environment()
  return ("LUA_PATH_5_4=%s LUA_CPATH_5_4=%s"):format(quoted(package.path), quoted(package.cpath))
end

-- A host exports its functions, as a program that Lua is linked into has to.
local function build(name) return compile.program(name, "-rdynamic " .. compile.lua) end

-- In the child of a fork the search for leaks cannot stop threads, which stayed with
-- the parent, and the sanitizer's own locks are as they were.
local no_search <const> = "ASAN_OPTIONS=" .. quoted((os.getenv "ASAN_OPTIONS" or "") .. ":detect_leaks=0")

-- Runs a host with scripts, each given as text or as an argument that is no
-- script (a number or a word); it must succeed and print exactly `expected`,
-- and to stderr exactly `told` (nothing).
local function play(name, arguments, expected, told)
  local dir = helper.tempdir()
  local words = {environment(), name == "fork" and no_search or "", "timeout -s KILL " .. GUARD, build(name)}
  for i, argument in ipairs(arguments) do
    if tostring(argument):find "\n" then
      local path = ("%s/script%d.lua"):format(dir, i)
      helper.write(path, argument)
      argument = path
    end
    words[#words + 1] = tostring(argument)
  end
  words[#words + 1] = (">%s/out 2>%s/err </dev/null"):format(dir, dir)
  local ok, what, code = os.execute(table.concat(words, " "))
  local err = helper.read(dir .. "/err")
  assert(ok, ("the host ended by %s %s; stderr: %s"):format(what, code, err))
  assert.are.equal(told or "", err)
  assert.are.equal(expected, helper.read(dir .. "/out"))
end

-- A script for a state: isolates of some kind, and `turn`.
local function script(body)
  return ([[
    local Isolate = require "isolate"
    assert(Isolate.is_main)
    local port, sink = Isolate.ReceivePort(), Isolate.ReceivePort()
    for _ = 1, 2 do
      Isolate.spawn(function(message)
        local ready, sink = message.ready, message.sink
        BODY
      end, {ready = port.send_port, sink = sink.send_port})
    end
    for _ = 1, 2 do assert(port:receive(10) == "on") end
    local echo = Isolate.spawn(function(reply)
      local inbox = Isolate.ReceivePort()
      reply:send(inbox.send_port)
      for _, message in inbox:messages() do reply:send(message) end
    end, port.send_port)
    local inbox = assert(port:receive(10))
    function turn()
      assert(Isolate.run(function(x) return x + 1 end, 41):await(10) == 42)
      inbox:send "turn"
      assert(port:receive(10) == "turn")
      assert(select(2, echo:join(0)) == "timeout")
    end
  ]]):gsub("BODY", body)
end

local kinds = {
  {"spin", [[ ready:send "on" while true do end ]]},
  {"spin in pcall", [[ ready:send "on" while true do pcall(function() while true do end end) end ]]},
  {"sleep", [[ ready:send "on" Isolate.sleep(1000) ]]},
  {"have ended", [[ ready:send "on" ]]},
  {"send to their state all the time", [[
    ready:send "on"
    while true do
      for _ = 1, 20 do sink:send {ready} end
      Isolate.sleep(0.001)
    end
  ]]},
  {"hold a port of their state and wait", [[
    local inbox = Isolate.ReceivePort()
    ready:send "on"
    inbox:receive()
    sink:send "late"
  ]]},
  {"have children that send to their state", [[
    Isolate.spawn(function(port) while true do port:send(1) Isolate.sleep(0.0001) end end, sink)
    ready:send "on"
  ]]},
}

describe("a host with several states #host #signal", function()
  for _, kind in ipairs(kinds) do
    -- one main thread, and at most eight standby threads
    it("on one thread closes them in any order while their isolates " .. kind[1] .. " (pains 3, 33)", function()
      play("states", {(script(kind[2])), 1, 9}, "played\n")
    end)
  end

  for _, kind in ipairs(kinds) do
    it("on four threads closes them in any order while their isolates " .. kind[1] .. " (pains 3, 33)", function()
      play("threads", {(script(kind[2])), 4, "own"}, "played\n")
    end)
  end

  it("goes on with them on another thread, and closes them there (pain 33)", function()
    play("threads", {(script(kinds[1][2])), 4, "main"}, "played\n")
  end)

  it("passes them on from thread to thread while others are closed (pain 33)", function()
    play("threads", {(script(kinds[5][2])), 4, "next"}, "played\n")
  end)

  -- ISOLATE_STRESS makes it longer.
  it("unloads the library with the last of them and loads it again, and nothing grows (pains 3, 33)", function()
    play("reload", {script(kinds[2][2]), math.max(20, 500 * helper.stress) // 1 | 0}, "played\n")
  end)

  -- Lua calls no finalizer for what a finalizer makes while the state is being closed: the channel stayed in memory, with
  -- what was in it, and so did isolates that were started then.
  it("lets go of what finalizers made while it was being closed", function()
    play("reload", {[[
      local Isolate = require "isolate"
      function turn() assert(Isolate.run(function() return 42 end):await(10) == 42) end
      last = setmetatable({}, {__gc = function()
        local channel = Isolate.Channel()
        assert(channel:send(("x"):rep(1 << 16)))
        Isolate.spawn(function() end)
      end})
    ]], 100}, "played\n")
  end)

  it("unloads it while a thread of an earlier state is still in a long C call (pains 3, 33)", function()
    local dir = helper.tempdir()
    play("reload", {([[
      local Isolate = require "isolate"
      local first = not io.open(%q)
      function turn()
        assert(Isolate.run(function(x) return x + 1 end, 41):await(10) == 42)
        if not first then return end
        io.open(%q, "w"):close()
        local port = Isolate.ReceivePort()
        Isolate.spawn(function(ready)
          ready:send "on"
          local _ = ("a"):rep(46):find(("a*"):rep(6) .. "b") -- a second or two
          ready:send "never heard"
        end, port.send_port, {name = "long"})
        assert(port:receive(10) == "on")
        Isolate.sleep(0.02)
      end
    ]]):format(dir .. "/left", dir .. "/left"), 10}, "played\n",
      "isolate 'long' does not stop (in a long C call?): abandoned\n")
  end)

  it("opens and closes them many times (pain 33)", function()
    play("states", {"\nlocal Isolate = require 'isolate'\nIsolate.run(function() end)\nfunction turn() end\n", 10, 9},
      "played\n")
  end)

  it("does not wait for what one of them left unfinished (pain 3)", function()
    play("states", {[[
      local Isolate = require "isolate"
      local port = Isolate.ReceivePort()
      Isolate.Timer(1000, print)
      Isolate.async(function() port:receive() end)
      Isolate.async(function() Isolate.sleep(1000) end)
      Isolate.step()
      local waiting = coroutine.create(function() coroutine.yield(port) end)
      coroutine.resume(waiting)
      function turn() Isolate.step() end
    ]], 3, 9}, "played\n")
  end)
end)

describe("a host that forks #host", function()
  it("before its first spawn uses the library in the child (pain 40)", function()
    local use = [[
      Isolate = Isolate or require "isolate"
      port = port or Isolate.ReceivePort()
      function turn()
        assert(Isolate.run(function(x) return x + 1 end, 41):await(5) == 42)
        port.send_port:send "here"
        assert(port:receive(5) == "here")
        Isolate.sleep(0.01)
      end
    ]]
    play("fork", {use, use .. "turn()"}, "child ends\nparent ends\n")
  end)

  it("after a spawn is told so by every call in the child, which ends cleanly (pain 40)", function()
    play("fork", {[[
      Isolate = require "isolate"
      port = Isolate.ReceivePort()
      iso = Isolate.spawn(function(reply)
        local inbox = Isolate.ReceivePort()
        reply:send(inbox.send_port)
        for _, message in inbox:messages() do reply:send(message) end
      end, port.send_port)
      inbox = port:receive(5)
      future = Isolate.run(function() Isolate.sleep(1000) end)
      done, completer = Isolate.Future.value("done"), Isolate.Completer()
      timer, raw = Isolate.Timer(1000, print), Isolate.RawReceivePort(print)
      heard = Isolate.ReceivePort()
      subscription = heard:listen(print)
      function turn()
        inbox:send "here"
        assert(port:receive(5) == "here")
      end
      turn()
    ]], [[
      local calls = {
        {"run", function() Isolate.run(print) end},
        {"spawn_file", function() Isolate.spawn_file(package.searchpath("isolate", package.path)) end},
        {"exit", function() Isolate.exit() end},
        {"handle", function() Isolate.handle(inbox) end},
        {"list", function() Isolate.list() end},
        {"explain", function() Isolate.explain(1) end},
        {"Capability", function() Isolate.Capability() end},
        {"from_raw", function() Isolate.ReceivePort.from_raw(raw) end},
        {"first", function() port:first() end},
        {"messages", function() for _ in port:messages() do end end},
        {"await for ever", function() future:await() end},
        {"next", function() future:next(print) end},
        {"catch", function() future:catch(print) end},
        {"finally", function() future:finally(print) end},
        {"timeout", function() future:timeout(1) end},
        {"Future.value", function() Isolate.Future.value(1) end},
        {"Future.error", function() Isolate.Future.error(1) end},
        {"Future.delayed", function() Isolate.Future.delayed(0) end},
        {"Future.all", function() Isolate.Future.all {future} end},
        {"Future.any", function() Isolate.Future.any {future} end},
        {"Completer", function() Isolate.Completer() end},
        {"Completer.sync", function() Isolate.Completer.sync() end},
        {"Timer.periodic", function() Isolate.Timer.periodic(1, print) end},
        {"fd", function() Isolate.fd() end},
        {"timeout of the loop", function() Isolate.timeout() end},
        {"join for ever", function() iso:join() end},
        {"kill before the next event", function() iso:kill() end},
        {"pause", function() iso:pause() end},
        {"pause with a capability", function() iso:pause(iso.pause_capability) end},
        {"resume", function() iso:resume(iso.pause_capability) end},
        {"ping", function() iso:ping(port.send_port, 1) end},
        {"add_on_exit_listener", function() iso:add_on_exit_listener(port.send_port) end},
        {"remove_on_exit_listener", function() iso:remove_on_exit_listener(port.send_port) end},
        {"add_error_listener", function() iso:add_error_listener(port.send_port) end},
        {"remove_error_listener", function() iso:remove_error_listener(port.send_port) end},
        {"set_errors_fatal", function() iso:set_errors_fatal(true) end},
        {"compute", function() Isolate.compute(print) end},
        {"spawn", function() Isolate.spawn(print) end},
        {"ReceivePort", function() Isolate.ReceivePort() end},
        {"RawReceivePort", function() Isolate.RawReceivePort() end},
        {"send", function() inbox:send(1) end},
        {"send to itself", function() port.send_port:send(1) end},
        {"receive", function() port:receive(0.1) end},
        {"listen", function() port:listen(print) end},
        {"await", function() future:await(0.1) end},
        {"cancel", function() future:cancel() end},
        {"join", function() iso:join(0.1) end},
        {"kill", function() iso:kill(Isolate.immediate) end},
        {"sleep", function() Isolate.sleep(0.01) end},
        {"Timer", function() Isolate.Timer(0.01, print) end},
        {"async", function() Isolate.async(function() end) end},
        {"loop", function() Isolate.loop() end},
        {"step", function() Isolate.step() end},
      }
      for _, call in ipairs(calls) do
        local ok, err = pcall(call[2])
        if ok or err ~= "isolate: used after fork; isolates stay with the parent process" then
          io.stderr:write(call[1], ": ", tostring(ok), " ", tostring(err), "\n")
        end
      end
      -- What needs no other isolate does its work.
      assert(done:await() == "done" and done:is_done() and not future:is_done())
      assert(timer:is_active())
      timer:cancel()
      subscription:pause() subscription:resume() subscription:cancel()
      port:close() raw:close()
      completer:complete(1)
      assert(completer:is_completed() and completer.future:await() == 1)
      assert(Isolate.processors() >= 1 and iso.name and tostring(iso) and tostring(inbox))
      for i = 1, 10 do local t = {} for j = 1, 1000 do t[j] = {} end end
      collectgarbage()
    ]]}, "child ends\nparent ends\n")
  end)

  it("with spinning isolates has a child that ends cleanly (pain 40) #signal", function()
    play("fork", {(script(kinds[1][2])), "\n"}, "child ends\nparent ends\n")
  end)
end)

describe("a program that forks #host", function()
  local path                         -- where the module is
  setup(function()
    path = compile.library "forking" .. "/?.so;" .. package.cpath
  end)

  -- Runs `body` in the child of a fork made by `where`; how it ended, and its stderr.
  local function child(where, body)
    local result = helper.lua(([[
      local Isolate = require "isolate"
      local port = Isolate.ReceivePort()
      local iso = Isolate.spawn(function(ready) ready:send "on" while true do end end, port.send_port)
      assert(port:receive(5) == "on")
      local function fork()
        local forking = require "forking"
        local Isolate = require "isolate"
        local id = forking.fork()
        if id == 0 then
          %s
          return
        end
        return forking.wait(id)
      end
      local function tell(...) io.write(table.concat({...}, " "), "\n") os.exit(true, true) end
      %s
    ]]):format(body, where), { guard = 30, env = {
      LUA_CPATH_5_4 = path,
      -- the search for leaks cannot stop threads that stayed with the parent
      ASAN_OPTIONS = (os.getenv "ASAN_OPTIONS" or "") .. ":detect_leaks=0",
    } })
    assert.equal(0, result.status, result.stderr)
    return result.stdout, result.stderr
  end

  -- The child's main chunk goes on after fork, so it ends there.
  local places = {
    main = [[ local how, status = fork() if how then tell(how, status) end ]],
    ["a spawned isolate"] = [[ tell(Isolate.run(fork):await(20)) ]],
    ["a task"] = [[ local how, status = Isolate.async(fork):await() if how then tell(how, status) end ]],
  }
  local FORKED = "isolate: used after fork; isolates stay with the parent process"
  local ends = {
    { "return", "", 0 },
    { "os.exit with a status", "os.exit(7)", 7 },
    { "os.exit that closes the state", "os.exit(7, true)", 7 },
    { "os.exit(false)", "os.exit(false)", 1 },
    { "an error", "error 'boom'", 1, "boom" },
    { "a call of the library", "Isolate.sleep(1)", 1, FORKED },
    { "a call whose error is caught", "pcall(Isolate.sleep, 1)", 0 },
  }
  for place, where in pairs(places) do
    for _, case in ipairs(ends) do
      it("in " .. place .. " has a child that ends with its own status: " .. case[1], function()
        local out, err = child(where, case[2])
        assert.equal("exit " .. case[3] .. "\n", out)
        if case[4] then assert.matches(case[4], err, 1, true) else assert.equal("", err) end
      end)
    end
  end
end)

-- Each turn kills an isolate, and leaves one that runs.
describe("a host with a handler of its own for the library's signal #host #signal", function()
  local turn = [[
    local Isolate = require "isolate"
    function turn()
      local port <close> = Isolate.ReceivePort()
      local list = {}
      for i = 1, 2 do
        list[i] = Isolate.spawn(function(ready)
          ready:send "on"
          while true do end
        end, port.send_port)
      end
      for _ = 1, 2 do assert(port:receive(5) == "on") end
      list[1]:kill(Isolate.immediate)
      assert(list[1]:join(5))
    end
  ]]

  it("still hears its signals, once each (pain 4)", function()
    play("signal", {turn, "before"}, "played\n")
  end)

  it("which it sets after the first kill, still hears them, and kills still work (pain 4)", function()
    play("signal", {turn, "after"}, "played\n")
  end)

  it("which it sets after the first kill, and which calls ours, hears them once (pain 4)", function()
    play("signal", {turn, "calling"}, "played\n")
  end)

  it("may set the default again, or ignore the signal, and kills still work (pain 4)", function()
    play("signal", {turn, "default"}, "played\n")
    play("signal", {turn, "ignore"}, "played\n")
  end)
end)

describe("a host #host", function()
  -- A C module's functions that were found by name became the application's, if it had one of that name: the first
  -- message ended in a crash.
  it("may have functions that are called as ours", function()
    play("namesakes", {(script [[ ready:send "on" ]])}, "played\n")
  end)
end)
