-- ending_spec.lua
-- The end of the main program (pains 3, 20): however it ends, whatever its
-- isolates do, it ends soon and as plain Lua would: no signal, no hang, its own
-- exit status, nothing printed lost. Each case is a child process under a guard.

local helper = require "spec.helper"

-- Hunters of rare crashes set this: how often each case is tried.
local ROUNDS = tonumber(os.getenv "ISOLATE_ROUNDS") or 1

-- The code with FIFO replaced by the path of a fifo that nobody else opens.
local function with_fifo(code)
  if not code:find "FIFO" then return code end
  local path = helper.tempdir() .. "/never"
  assert(os.execute("mkfifo " .. path))
  return (code:gsub("FIFO", function() return ("%q"):format(path) end))
end

-- Runs a program; it must end by itself and not of a signal.
local function run(code, opts)
  opts = opts or {}
  opts.guard = 5
  local result = helper.lua(with_fifo(code), opts)
  local told = "\nstdout: " .. result.stdout:sub(-300) .. "\nstderr: " .. result.stderr:sub(-1000)
  assert(not result.timed_out, "the guard ended the program" .. told)
  assert(not result.signal, "the program died of signal " .. tostring(result.signal) .. told)
  return result
end

-- name, the last lines of the program, exit status, what stderr contains;
-- `brief`: tried with the first kinds of isolates only
local ways = {
  {"returns", "", 0},
  {"raises", "error 'the end'", 1, "the end"},
  {"calls os.exit()", "os.exit()", 0},
  {"calls os.exit(3)", "os.exit(3)", 3},
  {"calls os.exit(true, true)", "os.exit(true, true)", 0},
  {"raises nil", "error()", 1, "nil", brief = true},
  {"raises in a task", "Isolate.async(function() Isolate.sleep(0.01) error 'the end' end):await()", 1, "the end",
    brief = true},
  {"raises in a timer", "Isolate.Timer(0, function() error 'the end' end) Isolate.loop()", 1, "the end",
    brief = true},
  {"calls os.exit(false)", "os.exit(false)", 1, brief = true},
  {"calls os.exit(4, true)", "os.exit(4, true)", 4, brief = true},
  {"calls os.exit(5) in a task", "Isolate.async(os.exit, 5)", 5, brief = true},
  {"calls os.exit(6, true) in a timer", "Isolate.Timer(0, function() os.exit(6, true) end) Isolate.loop()", 6,
    brief = true},
}

-- name, body of the isolates: it says `ready:send "on"` once it is at it, and
-- may flood `sink`, which nobody reads. `lingers`: stderr may report it;
-- `says`: what stderr must say of it, for no kill reaches it.
local kinds = {
  {"spin", [[ ready:send "on" while true do end ]]},
  {"spin in pcall", [[ ready:send "on" while true do pcall(function() while true do end end) end ]]},
  {"spin in coroutines", [[
    ready:send "on"
    while true do coroutine.resume(coroutine.create(function() while true do end end)) end
  ]]},
  {"sleep", [[ ready:send "on" Isolate.sleep(1000) ]]},
  {"wait for a message", [[ ready:send "on" Isolate.ReceivePort():receive() ]]},
  {"have ended", [[ ready:send "on" ]]},
  {"have answered and are idle", [[ Isolate.run(function() end):await() ready:send "on" ]]},
  {"read a fifo for ever", [[ local file = io.open(FIFO, "r+") ready:send "on" file:read "a" ]]},
  {"read a command for ever", [[
    local pipe = io.popen "exec sleep 8 2>/dev/null"
    ready:send "on"
    pipe:read "a"
  ]], lingers = true},
  {"send in a loop", [[ ready:send "on" while true do sink:send(1) end ]]},
  {"send tables to each other", [[
    local inbox = Isolate.ReceivePort()
    inbox:listen(function(m) inbox.send_port:send(m) end)
    for i = 1, 10 do inbox.send_port:send {i} end
    ready:send "on"
  ]]},
  {"print in a loop", [[ print "hello" ready:send "on" while true do print "hello" end ]]},
  {"allocate in a loop", [[ ready:send "on" local t while true do t = {{}, {}, t and #t} end ]]},
  {"have spinning children", [[
    for _ = 1, 3 do
      Isolate.spawn(function(back) back:send "on" while true do pcall(function() while true do end end) end end, sink)
    end
    ready:send "on"
  ]]},
  {"spawn in a loop", [[
    ready:send "on"
    while true do
      local children = {}
      for i = 1, 10 do children[i] = Isolate.spawn(function() Isolate.sleep(0.001) end) end
      for i = 1, 10 do children[i]:join() end
    end
  ]]},
  {"close slowly", [[
    local t <close> = setmetatable({}, {__close = function() while true do end end})
    ready:send "on"
    while true do end
  ]]},
  {"are in a long C call", [[ ready:send "on"; (("a"):rep(40)):find(("a*"):rep(20) .. "b") ]], lingers = true,
    says = "abandoned"},
  {"wait for a command", [[ ready:send "on" os.execute "exec sleep 8 >/dev/null 2>&1" ]], lingers = true},
}

-- A program with three isolates of a kind, and its last lines.
local function program(body, ending)
  local code = ([[
    local Isolate = require "isolate"
    local port, sink = Isolate.ReceivePort(), Isolate.ReceivePort()
    for _ = 1, 3 do
      Isolate.spawn(function(message)
        local ready, sink = message.ready, message.sink
        BODY
      end, {ready = port.send_port, sink = sink.send_port})
    end
    for _ = 1, 3 do assert(port:receive(4) == "on") end
    io.write "printed by main\n" -- at once: Lua's own print writes its newline apart
    ENDING
  ]]):gsub("%u%u%u%u+", {BODY = body, ENDING = ending})
  return code
end

-- Nothing printed is lost, and no line is broken.
local function check_lines(text, kind)
  local hello, main = 0, 0
  for line in text:gmatch "([^\n]*)\n" do
    if line == "hello" then hello = hello + 1
    elseif line == "printed by main" then main = main + 1
    else error(("a strange line %q"):format(line)) end
  end
  assert.are.equal(1, main)
  assert.are.equal("\n", text:sub(-1))
  assert.is_true(hello >= (kind == "print in a loop" and 3 or 0))
end

for _, way in ipairs(ways) do
  local how, ending, status, says = table.unpack(way, 1, 4)
  describe("a main program that " .. how .. " #signal", function()
    for _, kind in ipairs(way.brief and {kinds[1], kinds[2]} or kinds) do
      it("ends as plain Lua while its isolates " .. kind[1] .. " (pain 3)", function()
        for _ = 1, ROUNDS do
          local result = run(program(kind[2], ending))
          assert.are.equal(status, result.status)
          check_lines(result.stdout, kind[1])
          if says then
            assert.is_truthy(result.stderr:find(says, 1, true))
          elseif not kind.lingers then
            assert.are.equal("", result.stderr)
          end
          if kind.says then assert.is_truthy(result.stderr:find(kind.says, 1, true)) end
        end
      end)
    end
  end)
end

describe("a main program #signal", function()
  local endings = {
    {"just after it has spawned 20 isolates", [[
      for _ = 1, 20 do Isolate.spawn(function() while true do end end) end
    ]]},
    {"just after it has run 20 isolates", [[
      for _ = 1, 20 do Isolate.run(function() return ("x"):rep(100000) end) end
    ]]},
    {"while a large message is being built over there", [[
      local iso = Isolate.spawn(function(reply)
        local inbox = Isolate.ReceivePort()
        reply:send(inbox.send_port)
        for _ in inbox:messages() do end
      end, port.send_port)
      local inbox, list = port:receive(4), {}
      for i = 1, 100000 do list[i] = {i} end
      inbox:send(list)
    ]]},
    {"while a large message is being built here", [[
      Isolate.spawn(function(reply)
        local list = {}
        for i = 1, 100000 do list[i] = {i} end
        reply:send(list)
        reply:send "sent"
      end, port.send_port)
      for _ = 1, 20 do Isolate.step(0.01) end
    ]]},
    {"while it is killing", [[
      local iso = Isolate.spawn(function(ready)
        ready:send "on"
        while true do pcall(function() while true do end end) end
      end, port.send_port)
      port:receive(4)
      iso:kill(Isolate.immediate)
    ]]},
    {"with tasks that wait", [[
      for _ = 1, 10 do Isolate.async(function() Isolate.sleep(1000) end) end
      Isolate.step()
    ]]},
    {"with messages unread", [[
      for i = 1, 1000 do port.send_port:send {i, port.send_port} end
    ]]},
    {"with finalizers that use isolates", [[
      local iso = Isolate.spawn(function() Isolate.sleep(1000) end)
      for _ = 1, 2 do
        setmetatable({}, {__gc = function()
          pcall(Isolate.run, function() end)
          pcall(Isolate.spawn, function() while true do end end)
          pcall(iso.join, iso, 0.01)
          pcall(iso.kill, iso, Isolate.immediate)
          pcall(port.send_port.send, port.send_port, {1})
          pcall(port.receive, port, 0.01)
          pcall(Isolate.ReceivePort)
          pcall(Isolate.sleep, 0.01)
          pcall(function() return Isolate.run(function() end):await(0.1) end)
          pcall(port.close, port)
        end})
      end
    ]]},
    {"with finalizers older than the library", "", [[
      setmetatable({}, {__gc = function()
        pcall(Isolate.run, function() end)
        pcall(port.send_port.send, port.send_port, {1})
        pcall(port.receive, port, 0.01)
        pcall(port.close, port)
      end})
    ]]},
  }
  for _, row in ipairs(endings) do
    for _, ending in ipairs {"", "os.exit()", "os.exit(true, true)"} do
      it("ends " .. row[1] .. (ending == "" and "" or ", by " .. ending) .. " (pain 3)", function()
        for _ = 1, ROUNDS do
          local result = run("local Isolate, port\n" .. (row[3] or "") .. [[
            Isolate = require "isolate"
            port = Isolate.ReceivePort()
          ]] .. row[2] .. "\nprint 'printed by main'\n" .. ending)
          assert.are.equal("printed by main\n", result.stdout)
          assert.are.equal("", result.stderr)
          assert.are.equal(0, result.status)
        end
      end)
    end
  end

  it("whose isolates' prints were all seen loses none of them", function()
    for _, ending in ipairs {"", "os.exit()", "os.exit(true, true)", "error 'the end'"} do
      local result = run([[
        local Isolate = require "isolate"
        io.write "main begins, "
        local runs = {}
        for i = 1, 5 do
          runs[i] = Isolate.run(function() for n = 1, 200 do print(i, n) end io.write("written\n") end)
        end
        for i = 1, 5 do runs[i]:await(4) end
        io.write "main ends"
      ]] .. ending)
      local lines = select(2, result.stdout:gsub("%d\t%d+\n", ""))
      local written = select(2, result.stdout:gsub("written\n", ""))
      assert.are.equal(1000, lines)
      assert.are.equal(5, written)
      assert.are.equal(1, select(2, result.stdout:gsub("main begins, ", "")))
      assert.are.equal("main ends", result.stdout:sub(-9))
    end
  end)

  for _, row in ipairs {
    {"at its last line", "", "42\n"},
    {"not at os.exit()", "os.exit()", ""},
    {"at os.exit(true, true)", "os.exit(true, true)", "42\n"},
  } do
    it("uses isolates in its __close handlers, " .. row[1] .. " (pain 3)", function()
      local result = run([[
        local Isolate = require "isolate"
        Isolate.spawn(function() while true do end end)
        local t <close> = setmetatable({}, {__close = function()
          print(Isolate.run(function() return 6 * 7 end):await(4))
        end})
        print "printed by main"
      ]] .. row[2])
      assert.are.equal("printed by main\n" .. row[3], result.stdout)
      assert.are.equal("", result.stderr)
      assert.are.equal(0, result.status)
    end)
  end
end)

describe("a main program that forgot its loop", function()
  local forgot = {
    {"a listener", [[ Isolate.ReceivePort():listen(print) ]]},
    {"a timer", [[ Isolate.Timer(0.01, print) ]]},
    {"a periodic timer", [[ Isolate.Timer.periodic(0.01, print) ]]},
    {"a next callback", [[ Isolate.run(function() end):next(print) ]]},
  }
  for _, row in ipairs(forgot) do
    it("is told so in one line that names Isolate.loop(): " .. row[1], function()
      local result = run("local Isolate = require 'isolate'\n" .. row[2])
      assert.are.equal("", result.stdout)
      assert.is_truthy(result.stderr:find("Isolate.loop()", 1, true))
      assert.are.equal(1, select(2, result.stderr:gsub("\n", "")))
      assert.are.equal(0, result.status)
    end)
  end

  local fine = {
    {"nothing waits", [[ Isolate.run(function() end):await() ]]},
    {"the library is not used", ""},
    {"a port is open, but nobody listens", [[ Isolate.ReceivePort() ]]},
    {"the loop ran", [[ Isolate.Timer(0.01, function() end) Isolate.loop() ]]},
    {"a listener is left, but a loop ran", [[
      Isolate.ReceivePort():listen(print)
      Isolate.run(function() end):await()
    ]]},
    {"a timer is left, but a step ran", [[ Isolate.Timer(1000, print) Isolate.step(0.01) ]]},
    {"its timer was cancelled", [[ Isolate.Timer(1000, print):cancel() ]]},
    {"its subscription was cancelled", [[ Isolate.ReceivePort():listen(print):cancel() ]]},
  }
  for _, row in ipairs(fine) do
    it("is not told so when " .. row[1], function()
      local result = run("local Isolate = require 'isolate'\n" .. row[2])
      assert.are.equal("", result.stderr)
      assert.are.equal(0, result.status)
    end)
  end
end)

describe("Ctrl-C #signal", function()
  -- In each: `port`, a port that is quiet; `iso`, an isolate that lives; `spin`.
  local waits = {
    {"await of an isolate", [[ Isolate.run(function() while true do end end):await() ]]},
    {"await of a delay", [[ Isolate.Future.delayed(1000):await() ]]},
    {"await with a timeout", [[ Isolate.Future.delayed(1000):await(1000) ]]},
    {"receive", [[ port:receive() ]]},
    {"receive with a timeout", [[ port:receive(1000) ]]},
    {"messages", [[ for _ in port:messages() do end ]]},
    {"sleep", [[ Isolate.sleep(1000) ]]},
    {"join", [[ iso:join() ]]},
    {"join with a timeout", [[ iso:join(1000) ]]},
    {"loop", [[ Isolate.loop() ]], loop = true},
    {"step", [[ Isolate.step(1000) ]], loop = true},
  }
  local places = {
    {"the main chunk", "%s"},
    {"a task", "Isolate.async(function() %s end):await()", task = true},
    {"a coroutine of one's own", "local ok, err = coroutine.resume(coroutine.create(function() %s end)) error(err, 0)"},
    {"a coroutine wrapped by string.gsub", "(('x'):gsub('x', coroutine.wrap(function() %s end)))"},
    {"a comparator of table.sort", "table.sort({2, 1}, function() %s end)"},
  }

  local function waiting(body)
    return ([[
      local Isolate = require "isolate"
      local port = Isolate.ReceivePort()
      local iso = Isolate.spawn(function(ready)
        ready:send(Isolate.current)
        while true do end
      end, port.send_port)
      port:receive(4)
      print "waiting"
      io.flush()
      %s
      print "went on"
    ]]):format(body)
  end
  local interrupt = {name = "INT", after = 0.05, after_output = "waiting"}

  for _, place in ipairs(places) do
    for _, wait in ipairs(waits) do
      if not (place.task and wait.loop) then
        it("ends a " .. wait[1] .. " in " .. place[1] .. " as in plain Lua (pain 20)", function()
          local result = run(waiting(place[2]:format(wait[2])), {send_signal = interrupt})
          assert.is_truthy(result.stderr:find("interrupted!", 1, true))
          assert.are.equal("waiting\n", result.stdout)
          assert.are.equal(1, result.status)
        end)
      end
    end
  end

  for _, kind in ipairs(kinds) do
    it("ends the program while its isolates " .. kind[1] .. " (pain 20)", function()
      for _ = 1, ROUNDS do
        local result = run(program(kind[2], "io.flush() Isolate.sleep(1000)"),
          {send_signal = {name = "INT", after = 0.05, after_output = "printed by main"}})
        assert.is_truthy(result.stderr:find("interrupted!", 1, true))
        check_lines(result.stdout, kind[1])
        assert.are.equal(1, result.status)
      end
    end)
  end

  it("ends a tight loop of the main isolate, as ever (pain 20)", function()
    local result = run(waiting "while true do end", {send_signal = interrupt})
    assert.is_truthy(result.stderr:find("interrupted!", 1, true))
    assert.are.equal("waiting\n", result.stdout)
    assert.are.equal(1, result.status)
  end)

  it("ends a program whose handlers are busy all the time (pain 20)", function()
    local result = run(waiting [[
      Isolate.Timer.periodic(0, function() end)
      port:listen(function(m) port.send_port:send(m) end)
      port.send_port:send(1)
      Isolate.loop()
    ]], {send_signal = interrupt})
    assert.is_truthy(result.stderr:find("interrupted!", 1, true))
    assert.are.equal(1, result.status)
  end)

  -- Both are tasks that never come to an end of their own: the main thread, which alone
  -- meets the hook that the signal sets, was not run again.
  for _, busy in ipairs {
    {"a handler whose next message is always there", [[
      port:listen(function(m) port.send_port:send(m) end)
      port.send_port:send(1)
    ]]},
    {"a task that never has to wait for the next message", [[
      Isolate.async(function()
        while true do
          port.send_port:send(1)
          port:receive()
        end
      end)
    ]]},
  } do
    it("ends " .. busy[1] .. " (pain 20)", function()
      local result = run(waiting(busy[2] .. "Isolate.loop()"), {send_signal = interrupt})
      assert.is_truthy(result.stderr:find("interrupted!", 1, true))
      assert.are.equal("waiting\n", result.stdout)
      assert.are.equal(1, result.status)
    end)
  end

  it("closes what is to be closed (pain 20)", function()
    local result = run(waiting [[
      local t <close> = setmetatable({}, {__close = function() print "closed" end})
      Isolate.sleep(1000)
    ]], {send_signal = interrupt})
    assert.are.equal("waiting\nclosed\n", result.stdout)
    assert.are.equal(1, result.status)
  end)

  -- It came while an answer was being built, and became that answer's error:
  -- "could not be received: interrupted!". A pool's map with errors = "collect"
  -- noted it for one item, and went on.
  for _, how in ipairs {
    {"an answer", "Isolate.run(passenger):catch(print):await()"},
    {"a message", "port.send_port:send(passenger()) port:receive()"},
    {"a channel's message", "local c = Isolate.Channel() c:send(passenger()) c:receive()"},
  } do
    it("is not taken for a fault of " .. how[1] .. " that is being built then (pain 20)", function()
      local result = run(waiting([[
        local function passenger()
          return setmetatable({}, {__transfer = function()
            return function() io.popen("kill -INT $PPID"):close() end
          end})
        end
        io.stderr:write(tostring(select(2, pcall(function() ]] .. how[2] .. [[ end))))
      ]]))
      assert.is_truthy(result.stderr:find("interrupted!", 1, true))
      assert.is_nil(result.stderr:find("could not be received", 1, true))
      assert.are.equal("waiting\nwent on\n", result.stdout)
    end)
  end

  it("may be caught, and everything works on (pain 20)", function()
    local result = run(waiting [[
      local ok, err = pcall(port.receive, port)
      print(ok, (tostring(err):match "interrupted!"))
      print(Isolate.run(function() return 6 * 7 end):await(4))
      port.send_port:send "message"
      print(port:receive(4))
    ]], {send_signal = interrupt})
    assert.are.equal("waiting\nfalse\tinterrupted!\n42\nmessage\nwent on\n", result.stdout)
    assert.are.equal("", result.stderr)
    assert.are.equal(0, result.status)
  end)
end)
