-- fault_spec.lua
-- Out of everything: memory, threads, descriptors. A preloaded library
-- (spec/host/fault.c) refuses them at the first, the second, … call, while
-- small programs (spec/support/fault.lua) run in a child process. Each refusal
-- is a Lua error, or an error of the isolate that its spawner hears of; nothing
-- crashes, hangs, leaks or stays half done; and then the program works.
--
-- ISOLATE_STRESS=1 tries every call, which takes minutes; else a sample.

local compile = require "spec.support.compile"
local helper = require "spec.helper"

local stress = helper.stress >= 1

-- Builds spec/host/fault.c; returns the directory of fault.so.
local function build() return compile.library("fault", "-O1 -Wl,-z,lazy -ldl") end

-- Small blocks come from slabs, but under the address sanitizer from malloc, and in a core that is built so: where it is
-- then. In it each of them can be refused.
local function build_checked() return compile.core "CPPFLAGS=-DMEMORY_CHECKED=1 CFLAGS=-O1" end

-- Runs a program with the library preloaded; before a sanitizer's, if there is one.
-- `opts.alone`: it has nothing of isolate's yet; `opts.all`: all blocks are malloc's.
local function play(code, opts)
  local dir = build()
  opts = opts or {}
  local paths = dir .. "/?.so;"
  if opts.all and os.getenv "SANITIZER" ~= "asan" then paths = paths .. build_checked() .. "/?.so;" end
  opts.env = opts.env or {}
  opts.env.LD_PRELOAD = dir .. "/fault.so " .. (os.getenv "LD_PRELOAD" or "")
  -- what dlsym keeps would be called a leak; the programs count blocks themselves
  opts.env.ASAN_OPTIONS = (os.getenv "ASAN_OPTIONS" or "") .. ":verify_asan_link_order=0:detect_leaks=0"
  return helper.lua(([[
    package.cpath = "%s" .. package.cpath
    local fault = require "fault"
    ]]):format(paths) .. (opts.alone and "" or "local Isolate = require 'isolate' ") .. code, opts)
end

-- … which ends well and says nothing but `expected`.
local function plays(expected, code, opts)
  local result = play(code, opts)
  assert.are.equal("", result.stderr)
  assert.are.equal(expected, result.stdout)
  assert.are.equal(0, result.status, "signal " .. tostring(result.signal))
end

-- What stderr says but of Futures that the program had no chance to ask.
local function other(text)
  return (text:gsub("isolate: a Future failed and nobody asked for it: not enough memory\n+", ""))
end

-- All calls of the allocator, or every `stride`-th.
local function sweep(name, who, stride)
  local result = play(("require 'spec.support.fault'.sweep(%q, %q, %d)"):format(name, who,
    stress and 1 or stride), { guard = stress and 300 or 20, all = true })
  assert.are.equal("", other(result.stderr))
  assert.are.equal("clean", result.stdout:match "([^\n]*)\n$", result.stdout)
  assert.are.equal(0, result.status, "signal " .. tostring(result.signal))
end

describe("without memory #host", function()
  -- The state's allocator is replaced for one call, to ask for huge pages.
  it("a program that receives a huge string has an error, and goes on", function()
    sweep("receives huge", "here", 2)
  end)

  for _, value in ipairs { "int", "table", "closure", "transfer", "large" } do
    local stride = value == "large" and 9 or 1

    it("a program that receives " .. value .. " has an error, and goes on", function()
      sweep("receives " .. value, "here", stride)
    end)

    it("a program that listens for " .. value .. " has an error, and goes on", function()
      sweep("listens for " .. value, "here", stride + 2)
    end)

    it("a program that runs an isolate with " .. value .. " has an error, and goes on", function()
      sweep("runs with " .. value, "here", stride + 6)
    end)

    it("an isolate that is run with " .. value .. " fails its Future", function()
      sweep("runs with " .. value, "others", 137)
    end)
  end

  for _, name in ipairs { "spawns", "controls", "exits with a message" } do
    it("a program that " .. name .. " has an error, and goes on", function()
      sweep(name, "here", 5)
    end)

    it("an isolate of a program that " .. name .. " is heard of", function()
      sweep(name, "others", 171)
    end)
  end

  for _, name in ipairs { "opens ports", "explains", "has tasks and timers" } do
    it("a program that " .. name .. " has an error, and goes on", function()
      sweep(name, "here", 5)
    end)
  end

  -- A state that failed halfway was taken for whole by the next `require`.
  it("a main isolate cannot be made, and then can, and ends", function()
    local result = play(([[
      local script = "local Isolate = require 'isolate'"
        .. " assert(Isolate.run(function(x) return x + 1 end, 1):await(20) == 2)"
      local ok, problem = fault.fresh(script, "memory", 1 << 40)
      assert(ok, problem)
      for _, times in ipairs { 1, 2, 0 } do
        for n = 1, 1 << 40, %d do
          local first, why, again, problem, refused = fault.fresh(script, "memory", n, times)
          if refused == 0 then break end
          assert(first or why:find "not enough memory" or why:find "cannot start a thread"
            or why:find "not found" or why:find "Cannot allocate memory", why)  -- it was fopen
          assert(again, problem)
        end
      end
      print "clean"
    ]]):format(stress and 1 or 151), { guard = stress and 300 or 20, all = true })
    assert.are.equal("", result.stderr)
    assert.are.equal("clean\n", result.stdout)
  end)

  -- The notice is made when the listener is registered: at its death the isolate
  -- may have no memory for it.
  it("an isolate that cannot even begin is heard of", function()
    plays("not enough memory\nnil\nnot enough memory\n", [[
      local errors <close> = Isolate.ReceivePort()
      local out <close> = Isolate.ReceivePort()
      fault.arm("memory", 1, 0, "others")  -- no isolate was before: no state is ready
      Isolate.spawn(function() end, nil, { on_error = errors.send_port, on_exit = out.send_port })
      print(errors:receive(10)[1])
      print(out:receive(10))
      print(select(2, pcall(function() Isolate.run(function() end):await(10) end)).message)
      fault.disarm()
    ]], { all = true })
  end)

  -- The isolate was started before its handle could be made: the call raised, and
  -- an isolate that nobody knew of ran.
  it("a spawn that raises has started nothing", function()
    plays("none\n", ([[
      local port <close> = Isolate.ReceivePort()
      local function start() Isolate.spawn(function(p) p:send "runs" end, port.send_port):join(10) end
      for _ = 1, 3 do start() port:receive(10) end
      for n = 1, 1 << 40, %d do
        local iso
        local function try() iso = Isolate.spawn(function(p) p:send "runs" end, port.send_port) end
        fault.arm("memory", n, 2, "here")
        local ok = pcall(try)
        local _, refused = fault.disarm()
        if iso then
          assert(iso:join(10))
          assert(port:receive(0) == "runs")
        else
          assert(not ok and #Isolate.list() == 1, n)
        end
        if refused == 0 then break end
      end
      assert(select(2, port:receive(0.05)) == "timeout")
      print "none"
    ]]):format(stress and 1 or 2))
  end)

  -- The port of a service, of a listener, of a call was open already, and nobody
  -- could close it: the program never ended, and the name was taken for ever.
  it("a serve, a listen, a call, an agent that raises has left nothing open", function()
    plays("nothing\n", ([[
      local core = require "isolate.core"
      local agent, news = Isolate.Agent(function() return 1 end), Isolate.Broadcast "news"
      local function finish_agent(it) assert(it:exit():await(10) == 1) end
      local function cancel(it) it:cancel() end
      for _, case in ipairs {
        { function() return Isolate.serve("sums", {}) end, cancel },
        { function() return news:listen(print) end, cancel },
        { function() return agent:read() end, function(it) assert(it:await(10) == 1) end },
        { function() return Isolate.Agent(function() return 1 end) end, finish_agent },
      } do
        local make, finish = case[1], case[2]
        for _ = 1, 3 do finish(make()) end
        local alive = core.alive()
        for times = 1, 2 do
          for n = 1, 1 << 40, %d do
            fault.arm("memory", n, times, "here")
            local ok, it = pcall(make)
            local _, refused = fault.disarm()
            if ok then finish(it) end
            assert(core.alive() == alive, n)
            for _ = 1, 10000 do
              if #Isolate.list() == 2 then break end
              Isolate.sleep(0.001)
            end
            assert(#Isolate.list() == 2, n)
            if refused == 0 then break end
          end
        end
      end
      finish_agent(agent)
      print "nothing"
    ]]):format(stress and 1 or 2))
  end)

  it("a Future whose answer could not be taken does not wait for ever", function()
    plays("done\n", [[
      local function turn() return Isolate.run(function(...) return ... end, {}, "a", 2) end
      for _ = 1, 3 do turn():await(10) end
      for n = 1, 60 do
        for _, times in ipairs { 2, 0 } do
          local future = turn()
          fault.arm("memory", n, times, "here")
          pcall(future.await, future)
          fault.disarm()
          local ok, problem = pcall(future.await, future, 10)
          assert(future:is_done(), n)
        end
      end
      print "done"
    ]])
  end)

  -- Plain tables are built without a pcall of their own: what raises ends the
  -- task that handles them, with a message half built.
  it("of messages that follow each other none is lost, doubled or moved when there is none for a moment", function()
    plays("in order\n", [[
      local port <close> = Isolate.ReceivePort "tables"
      local target, seen, count = port.send_port, { 0, 0, 0, 0, 0, 0 }, 0
      port:listen(function(it)
        count = count + 1
        seen[count] = it.n == it.list[1].n and it.n
      end)
      local over <close> = Isolate.ReceivePort()
      -- how many of six messages came, with no memory so many times from the n-th call on
      local function six(n, times)
        for i = 1, 6 do target:send { n = i, list = { { n = i, name = "name" .. i } } } end
        over.send_port:send(true)
        count = 0
        local tries, refused = 0, nil
        fault.arm("memory", n, times, "here")
        repeat
          local ok, did = pcall(over.receive, over, 10)
          tries = tries + 1
          if tries == 9 or ok then refused = refused or select(2, fault.disarm()) end
        until ok and did
        for i = 2, count do assert(seen[i] > seen[i - 1], "out of order") end
        return count, refused
      end
      for _, times in ipairs { 1, 2, 0 } do
        for n = 1, 1 << 40 do
          local came, refused = six(n, times)
          assert(came == 6 or times == 0, came)
          if refused == 0 then break end
        end
        assert(six(1 << 40, 1) == 6)
      end
      print "in order"
    ]])
  end)

  -- What tries it again was looked up only then, and there was no memory for that either: the
  -- message was lost, and kept for ever.
  for _, n in ipairs { 30, 40 } do
    it("a message that cannot be built, call " .. n .. ", is an error of its port", function()
      plays("a message to port 'tables' could not be received: not enough memory\n", ([[
        local port <close> = Isolate.ReceivePort "tables"
        port:listen(function() end)
        for i = 1, 6 do port.send_port:send { n = i, list = { { n = i, name = "name" .. i } } } end
        local over <close> = Isolate.ReceivePort()
        over.send_port:send(true)
        fault.arm("memory", %d, 8, "here")
        local _, problem = pcall(over.receive, over, 10)
        fault.disarm()
        print(problem)
      ]]):format(n))
    end)
  end

  -- What isolates come from is made with the first of them. There was no memory for it at
  -- that moment, and so none for any later one.
  it("the first isolate of a process cannot be made, and then can", function()
    plays("false\tnot enough memory\ttrue\tnil\t2\n", [[
      print(fault.fresh("require 'isolate.core'", "pages", 1, 2))
    ]], { alone = true })
  end)

  -- A module that could not be looked up for lack of memory went as a copy.
  it("what goes by name does not go by value", function()
    plays("by name\n", [[
      package.path = "./?.lua;" .. package.path
      local mod = require "mod"
      local port <close> = Isolate.ReceivePort()
      for n = 1, 200 do
        for times = 1, 3 do
          package.loaded.mod = nil
          mod = require "mod"
          fault.arm("memory", n, times, "here")
          local ok, problem = pcall(port.send_port.send, port.send_port, mod)
          fault.disarm()
          if ok then assert(port:receive(10) == mod, "a copy came")
          else assert(tostring(problem):find "not enough memory", problem) end
        end
      end
      print "by name"
    ]], { files = { ["mod.lua"] = "return { name = 'mod', f = function() end }" } })
  end)
end)

describe("states that stand by #host", function()
  -- They go when the last thread that waits has had nothing to do for a second. When
  -- that one had an isolate that was killed, it waited no more, and they stayed.
  it("go, too, after the last thread's isolate was killed", function()
    plays("gone\n", [[
      assert(fault.watch(require "isolate.core".now))
      local function start_and_kill()
        local iso = Isolate.spawn(function() while true do end end)
        iso:kill(Isolate.immediate)
        assert(iso:join(10))
      end
      local function rest()
        Isolate.sleep(1.3)
        for _ = 1, 3 do collectgarbage() end
        return fault.live()
      end
      Isolate.run(function() end):await(10)
      start_and_kill()
      local before, list = rest(), {}
      for i = 1, 20 do list[i] = Isolate.run(function() end) end
      for _, it in ipairs(list) do it:await(10) end
      list = nil
      for _ = 1, 12 do
        Isolate.run(function() end):await(10)
        Isolate.sleep(0.01)  -- its thread waits, and has made states
        start_and_kill()
      end
      local left = rest() - before
      print(left < 6 and "gone" or left)
    ]])
  end)
end)

-- What an isolate has from malloc stays in the process: pages where a little of it is
-- used, or was last, are not given back. Under the address sanitizer all of it is malloc's.
describe("an idle isolate #host", function()
  local it = helper.slow == 1 and it or pending

  it("has no block of malloc", function()
    plays("0\n", [[
      assert(fault.watch(require "isolate.core".now))
      local port <close> = Isolate.ReceivePort()
      local function start(n)
        for _ = 1, n do
          Isolate.spawn(function(reply)
            local port <close> = Isolate.ReceivePort()
            reply:send(port.send_port)
            reply:send(port:receive())
            port:receive()
          end, port.send_port)
          port:receive():send("first")
          assert(port:receive() == "first")
        end
        for _ = 1, 3 do collectgarbage() end
        return fault.live()
      end
      local before = start(10)
      print((start(50) - before + 25) // 50)
    ]])
  end)

  -- What a thread frees is enough for glibc to make an arena of 64 MiB for it: pages of each of them stayed for ever,
  -- 60 KiB after a thousand isolates had ended.
  it("neither asks malloc for anything nor frees anything of another's", function()
    plays("0\n", [[
      local port <close> = Isolate.ReceivePort()
      for i = 1, 20 do
        Isolate.spawn(function(message)
          local port <close> = Isolate.ReceivePort()
          message.reply:send {port.send_port, message.text}
          port:receive()
        end, {reply = port.send_port, text = ("x"):rep(1000)})
        port:receive()[1]:send "end"
      end
      local arenas = 0
      for line in io.lines "/proc/self/maps" do
        local from, to = line:match "^(%x+)%-(%x+) %-%-%-p"
        if from and (tonumber(to, 16) - tonumber(from, 16)) >> 20 == 63 then arenas = arenas + 1 end
      end
      print(arenas)
    ]])
  end)
end)

describe("without threads #host", function()
  it("spawn, run and compute raise an IsolateSpawnError, and the program goes on", function()
    plays(("IsolateSpawnError: cannot start a thread: Resource temporarily unavailable\n"):rep(3)
      .. "IsolateSpawnError\n42\n", [[
      local function text(ok, problem) assert(not ok) return tostring(problem) end
      fault.arm("thread", 1, 0)
      print(text(pcall(Isolate.run, function() end)))
      print(text(pcall(Isolate.compute, function() end, nil, { timeout = 1000 })))
      print(text(pcall(Isolate.spawn, function() end)))
      print(select(2, pcall(Isolate.run, function() end)).name)
      fault.disarm()
      print(Isolate.run(function() return 42 end):await(10))
      Isolate.loop()  -- nothing is left open
      while #Isolate.list() > 1 do Isolate.sleep(0.001) end
    ]])
  end)

  it("an isolate that spawns has the error, too", function()
    plays("IsolateSpawnError\n", [[
      local reply <close> = Isolate.ReceivePort()
      Isolate.spawn(function(p)
        local inbox <close> = Isolate.ReceivePort()
        p:send(inbox.send_port)
        inbox:receive(10)
        p:send(select(2, pcall(Isolate.spawn, print)).name)
      end, reply.send_port)
      local inbox = reply:receive(10)
      fault.arm("thread", 1, 0)
      inbox:send "go"
      print(reply:receive(10))
    ]])
  end)

  -- The helper that sends the signal again: without it the first one has to do,
  -- and each further kill sends another.
  for _, kind in ipairs {
    { "spins", "ready:send 'on' while true do end" },
    { "spins in pcall", "ready:send 'on' while true do pcall(function() while true do end end) end" },
    { "waits", "ready:send 'on' Isolate.ReceivePort():receive()" },
  } do
    it("an isolate that " .. kind[1] .. " can be killed #signal", function()
      plays("killed\nkilled\n", ([[
        local ready <close> = Isolate.ReceivePort()
        for _ = 1, 2 do
          local iso = Isolate.spawn(function(ready) %s end, ready.send_port)
          assert(ready:receive(10) == "on")
          fault.arm("thread", 1, 0)
          for _ = 1, 1000 do
            iso:kill(Isolate.immediate)
            if iso:join(0.01) then break end
          end
          fault.disarm()
          assert(iso:join(0))
          print "killed"
        end
      ]]):format(kind[2]))
    end)
  end

  it("the end of the program stops what runs #signal", function()
    plays("ends\n", [[
      local ready <close> = Isolate.ReceivePort()
      for _ = 1, 4 do
        Isolate.spawn(function(p) p:send "on" while true do pcall(function() while true do end end) end end,
          ready.send_port)
        ready:receive(10)
      end
      fault.arm("thread", 1, 0)
      print "ends"
    ]])
  end)
end)

describe("without descriptors #host", function()
  it("fd() is nil, and all else works", function()
    plays("nil\n42\n7\ntrue\n", [[
      fault.arm("descriptor", 1, 0)
      print(Isolate.fd())
      print(Isolate.run(function() return 42 end):await(10))
      local port <close> = Isolate.ReceivePort()
      port.send_port:send(7)
      print(port:receive(10))
      fault.disarm()
      print(Isolate.fd() ~= nil)
    ]])
  end)

  -- The descriptors of the process are really gone here.
  it("of the process isolates run, with modules that are loaded already", function()
    plays("42\nmessage\nnil\nToo many open files\n42\n", [[
      Isolate.run(function() end):await(10)
      fault.descriptors(64)
      local files = {}
      while true do
        local file = io.open "/dev/null"
        if not file then break end
        files[#files + 1] = file
      end
      print(Isolate.run(function() return 42 end):await(10))
      local port <close> = Isolate.ReceivePort()
      Isolate.spawn(function(p) p:send "message" end, port.send_port)
      print(port:receive(10))
      print(Isolate.fd())
      print(Isolate.run(function()
        local file, why = io.popen "true"
        assert(not file)
        return why:match "Too many open files"
      end):await(10))
      for _, file in ipairs(files) do file:close() end
      print(Isolate.run(function() return 42 end):await(10))
    ]])
  end)
end)

describe("under a memory_limit", function()
  -- Each limit from far too small to enough; `fn` returns "fine".
  local function limits(fn, message)
    local Isolate = require "isolate"
    local failed, worked = 0, 0
    for kib = 4, 400, stress and 1 or 11 do
      local ok, result = pcall(function()
        return Isolate.compute(fn, message, { memory_limit = kib * 1024 }):await(20)
      end)
      if ok then
        assert.are.equal("fine", result)
        worked = worked + 1
      else
        assert.are.equal("not enough memory", tostring(result.message):match "not enough memory",
          kib .. " KiB: " .. tostring(result))
        failed = failed + 1
      end
    end
    assert(failed > 0 and worked > 0)
  end

  it("a computation works or fails for lack of memory", function()
    limits(function() return "fine" end)
  end)

  it("a message is received or not", function()
    local text = {}
    for i = 1, 500 do text[i] = "text number " .. i end
    limits(function(list) return #list == 500 and "fine" end, text)
  end)

  it("code is loaded or not", function()
    limits(function()
      assert(load("return {" .. ("'a', "):rep(500) .. "}"))()
      return require "spec.fixtures.geometry" and "fine"
    end)
  end)

  it("an isolate that goes on eating memory in pcall takes no other down, and can be killed", function()
    local Isolate = require "isolate"
    local ready <close> = Isolate.ReceivePort()
    local iso = Isolate.spawn(function(p)
      for turn = 1, math.huge do
        pcall(function()
          local chain
          while true do chain = { chain } end
        end)
        if turn == 3 then p:send "eats" end
      end
    end, ready.send_port, { memory_limit = 300 * 1024 })
    assert.are.equal("eats", ready:receive(20))
    for i = 1, 5 do
      local text = Isolate.run(function(x) return ("x"):rep(1e5) .. x end, i):await(20)
      assert.are.equal(i, tonumber(text:sub(100001)))
    end
    iso:kill(Isolate.immediate)
    assert(iso:join(20))
  end)

  it("a spawned isolate's error and end are both heard of", function()
    local Isolate = require "isolate"
    local failed, worked = 0, 0
    for kib = 4, 400, stress and 1 or 11 do
      local errors <close> = Isolate.ReceivePort()
      local out <close> = Isolate.ReceivePort()
      Isolate.spawn(function(p) p:send "fine" end, errors.send_port, {
        memory_limit = kib * 1024, on_error = errors.send_port, on_exit = out.send_port })
      local message = errors:receive(20)
      if message == "fine" then
        worked = worked + 1
      else
        assert.are.equal("not enough memory", message[1]:match "not enough memory", message[1])
        failed = failed + 1
      end
      local none, why = out:receive(20)
      assert.is_nil(none)
      assert.is_nil(why)
    end
    assert(failed > 0 and worked > 0)
  end)
end)
