-- kill_spec.lua
-- Whatever an isolate does to stay alive, kill(immediate) ends it and the
-- program goes on (pain 4). Each row is a function body that resists; it gets
-- `ready`, the SendPort of the main isolate, and tells it "on" once it has
-- begun to resist. Each runs in a child process under a guard.

local helper = require "spec.helper"

-- The code with FIFO replaced by the path of a fifo that nobody else opens:
-- opened "r+" its reads never end, opened "r" the opening never does. DIR is
-- where its modules are.
local function with_fifo(body)
  if body:find "DIR" then
    local dir = helper.tempdir()
    helper.write(dir .. "/outer.lua", "require 'inner'")
    helper.write(dir .. "/inner.lua", "while true do pcall(function() while true do end end) end")
    return (body:gsub("DIR", function() return ("%q"):format(dir) end))
  end
  if not body:find "FIFO" then return body end
  local path = helper.tempdir() .. "/never"
  assert(os.execute("mkfifo " .. path))
  return (body:gsub("FIFO", function() return ("%q"):format(path) end))
end

-- A program that spawns the body, kills it, tells what join said and what else
-- came, and goes on. `before` is what the main isolate does before the kill.
local function killing(body, opts, before, message)
  local code = ([[
    local Isolate = require "isolate"
    local port = Isolate.ReceivePort()
    local iso = Isolate.spawn(function(ready)
      BODY
    end, MESSAGE, {name = "stubborn", OPTS})
    BEFORE
    iso:kill(Isolate.immediate)
    print(iso:join(8))
    while true do
      local message, why = port:receive(0)
      if why then break end
      if message ~= "on" and type(message) == "string" then print(message) end
    end
    print(Isolate.run(function() return 6 * 7 end):await(8))
  ]]):gsub("%u%u%u%u+", {
    BODY = body,
    OPTS = opts or "",
    MESSAGE = message or "port.send_port",
    BEFORE = before or "assert(port:receive(8) == 'on') Isolate.sleep(0.03)",
  })
  return with_fifo(code)
end

local function run(code, opts)
  opts = opts or {}
  opts.guard = 10
  local result = helper.lua(code, opts)
  assert(not result.timed_out, "the guard ended the program; stdout: " .. result.stdout .. result.stderr)
  assert(not result.signal, "the program died of signal " .. tostring(result.signal))
  return result
end

-- name, body; `says`: what the isolate still says; `opts`: its options;
-- `before`: what the main isolate does before the kill, instead of waiting for
-- "on"; `message`: what it gets in place of `ready`; `reports`: what lingers may be reported at the end
local rows = {
  -- loops
  {"loops", [[ ready:send "on" while true do end ]]},
  {"loops with goto", [[ ready:send "on" ::again:: goto again ]]},
  {"loops over numbers", [[ ready:send "on" local x = 0 while true do for i = 1, 1e9 do x = x + i end end ]]},
  {"tail-calls for ever", [[ ready:send "on" local function f() return f() end f() ]]},
  {"recurses and overflows again and again", [[
    ready:send "on"
    local function f() f() end
    while true do pcall(f) end
  ]]},
  {"loops in an iterator", [[ ready:send "on" for _ in function() return 1 end do end ]]},
  {"calls C functions in a loop", [[ ready:send "on" while true do ("x"):rep(100):gsub("x", "y") end ]]},
  {"sends in a loop", [[ ready:send "on" while true do ready:send(1) end ]]},
  {"spawns in a loop", [[
    ready:send "on"
    while true do
      local children = {}
      for i = 1, 10 do children[i] = Isolate.spawn(function() end) end
      for i = 1, 10 do children[i]:join() end
    end
  ]]},
  {"runs isolates in a loop", [[ ready:send "on" while true do Isolate.run(function() end):await() end ]]},

  -- coroutines
  {"loops in a resumed coroutine", [[
    coroutine.resume(coroutine.create(function() ready:send "on" while true do end end))
  ]]},
  {"loops in a wrapped coroutine", [[
    coroutine.wrap(function() ready:send "on" while true do end end)()
  ]]},
  {"resumes looping coroutines in a loop", [[
    while true do
      coroutine.resume(coroutine.create(function() ready:send "on" while true do end end))
    end
  ]]},
  {"loops in a coroutine that string.gsub resumes", [[
    ("x"):gsub("x", coroutine.wrap(function() ready:send "on" while true do end end))
  ]]},
  {"loops in a coroutine that a callback of string.gsub makes", [[
    ("x"):gsub("x", function()
      return coroutine.wrap(function() ready:send "on" while true do end end)()
    end)
  ]]},
  {"loops in a coroutine that C code makes and C code resumes", [[
    local _, wrapped = pcall(coroutine.wrap, function() ready:send "on" while true do end end)
    table.sort({2, 1}, wrapped)
  ]]},
  {"loops in a coroutine made before, while it was young", [[
    local co = coroutine.create(function() coroutine.yield() while true do end end)
    coroutine.resume(co)
    collectgarbage()
    ready:send "on"
    coroutine.resume(co)
  ]]},
  {"loops 20 coroutines deep", [[
    local function nest(depth)
      if depth == 0 then ready:send "on" while true do end end
      while true do coroutine.resume(coroutine.create(nest), depth - 1) end
    end
    nest(20)
  ]]},
  {"loops among 10,000 live coroutines", [[
    local list = {}
    for i = 1, 10000 do
      list[i] = coroutine.create(function() while true do coroutine.yield() end end)
      coroutine.resume(list[i])
    end
    ready:send "on"
    coroutine.wrap(function() while #list > 0 do end end)()
  ]]},
  {"resumes 10,000 coroutines in turn", [[
    local list = {}
    for i = 1, 10000 do
      list[i] = coroutine.create(function() while true do pcall(coroutine.yield) end end)
    end
    ready:send "on"
    while true do for i = 1, 10000 do coroutine.resume(list[i]) end end
  ]]},
  {"loops in a coroutine that coroutine.close closes", [[
    local co = coroutine.create(function()
      local t <close> = setmetatable({}, {__close = function() ready:send "on" while true do end end})
      coroutine.yield()
    end)
    coroutine.resume(co)
    while true do pcall(coroutine.close, co) end
  ]]},
  {"loops in a coroutine that another one resumes again and again", [[
    local inner = coroutine.wrap(function() while true do pcall(coroutine.yield) end end)
    local outer = coroutine.wrap(function() while true do inner() coroutine.yield() end end)
    ready:send "on"
    while true do outer() end
  ]]},
  {"loops over a coroutine that yields across pcall and metamethods", [[
    local t = setmetatable({}, {__index = function() return coroutine.yield(1) end})
    local co = coroutine.wrap(function() while true do pcall(function() while true do local _ = t.x end end) end end)
    ready:send "on"
    while true do co() end
  ]]},
  {"makes coroutines in a loop", [[
    ready:send "on"
    while true do coroutine.wrap(function() coroutine.yield() end)() end
  ]]},

  -- called by C
  {"loops in table.sort's comparator", [[
    table.sort({3, 2, 1}, function() ready:send "on" while true do end end)
  ]]},
  {"sorts in a loop in pcall", [[
    ready:send "on"
    while true do pcall(table.sort, {3, 2, 1}, function() error "no" end) end
  ]]},
  {"loops in __index", [[
    return setmetatable({}, {__index = function() ready:send "on" while true do end end}).x
  ]]},
  {"loops in __tostring of the error that ends it", [[
    error(setmetatable({}, {__tostring = function() ready:send "on" while true do end end}))
  ]], reports = true},
  {"loops in a callback of string.gsub, in pcall", [[
    while true do pcall(string.gsub, "x", "x", function() ready:send "on" while true do end end) end
  ]]},
  {"loops in __newindex, __call, __concat, __eq, __lt, __len and __unm", [[
    ready:send "on"
    local function loop() while true do end end
    local class = {__newindex = loop, __call = loop, __concat = loop, __eq = loop, __lt = loop,
      __len = loop, __unm = loop}
    local a, b = setmetatable({}, class), setmetatable({}, class)
    while true do
      for _, use in ipairs {
        function() a.x = 1 end, function() a() end, function() return a .. b end,
        function() return a == b end, function() return a < b end, function() return #a end,
        function() return -a end,
      } do pcall(use) end
    end
  ]]},
  {"loops in __pairs", [[
    local t = setmetatable({}, {__pairs = function() ready:send "on" while true do end end})
    while true do pcall(function() for _ in pairs(t) do end end) end
  ]]},
  {"loops in __tostring, called by print, string.format and error", [[
    local t = setmetatable({}, {__tostring = function() ready:send "on" while true do end end})
    while true do
      for _, call in ipairs {print, tostring, error} do pcall(call, t) end
      pcall(string.format, "%s", t)
    end
  ]]},
  {"raises, in a loop, errors whose __tostring loops", [[
    local class = {__tostring = function() while true do end end}
    ready:send "on"
    while true do pcall(error, setmetatable({}, class)) end
  ]]},
  {"loops in a module that it requires, a file which a file requires", [[
    package.path = DIR .. "/?.lua;" .. package.path
    ready:send "on"
    while true do pcall(require, "outer") end
  ]]},
  {"loops in a module that it requires", [[
    package.preload.endless = function() ready:send "on" while true do end end
    require "endless"
  ]]},
  {"loops in the reader of load", [[ load(function() ready:send "on" while true do end end) ]]},
  {"loops in load's reader without an end to the source", [[
    ready:send "on"
    while true do load(function() return " " end) end
  ]]},
  {"loops in a timer", [[
    Isolate.Timer(0, function() ready:send "on" while true do end end)
  ]]},
  {"loops in a message handler", [[
    local inbox = Isolate.ReceivePort()
    inbox:listen(function() ready:send "on" while true do end end)
    inbox.send_port:send(1)
  ]]},
  {"loops in a Future's callback", [[
    Isolate.Future.value(1):next(function() ready:send "on" while true do end end)
    Isolate.sleep(1000)
  ]]},
  {"loops in another task", [[
    Isolate.async(function() Isolate.sleep(0) ready:send "on" while true do end end)
    Isolate.sleep(1000)
  ]]},

  -- what catches
  {"loops in pcall", [[ ready:send "on" while true do pcall(function() while true do end end) end ]]},
  {"loops in pcall in pcall", [[
    ready:send "on"
    local function again() while true do pcall(pcall, pcall, function() while true do end end) end end
    while true do pcall(again) end
  ]]},
  {"calls pcall(error) in a loop", [[ ready:send "on" while true do pcall(error) end ]]},
  {"loops in xpcall", [[
    ready:send "on"
    while true do xpcall(function() while true do end end, function() return "caught" end) end
  ]]},
  {"loops in xpcall, and in its handler", [[
    ready:send "on"
    while true do xpcall(function() while true do end end, function() while true do end end) end
  ]]},
  {"loops in the handler of an error of its own", [[
    xpcall(error, function() ready:send "on" while true do end end)
  ]]},
  {"loops in a handler with xpcall in pcall in coroutines", [[
    ready:send "on"
    local function handler() while true do end end
    while true do
      pcall(coroutine.wrap(function()
        while true do xpcall(function() while true do end end, handler) end
      end))
    end
  ]]},
  {"catches and returns as if nothing had been", [[
    pcall(function() ready:send "on" while true do end end)
    return "survived"
  ]]},
  {"catches and waits for ever", [[
    pcall(function() ready:send "on" while true do end end)
    while true do pcall(Isolate.sleep, 1000) end
  ]]},
  {"catches and opens ports to live on", [[
    pcall(function() ready:send "on" while true do end end)
    Isolate.ReceivePort():listen(print)
    Isolate.Timer.periodic(0.001, function() end)
  ]]},

  -- what closes
  {"has a __close handler that works for a while", [[
    local t <close> = setmetatable({}, {__close = function()
      local n = 0
      for i = 1, 400000 do n = n + i end
      ready:send("closed " .. n)
    end})
    ready:send "on"
    while true do end
  ]], says = "closed 80000200000\n", opts = "grace = 5"},
  {"has a __close handler in a wrapped coroutine", [[
    coroutine.wrap(function()
      local t <close> = setmetatable({}, {__close = function() ready:send "closed" end})
      ready:send "on"
      while true do end
    end)()
  ]], says = "closed\n", opts = "grace = 5"},
  {"has three __close handlers, one inside the other", [[
    local function closing(name)
      return setmetatable({}, {__close = function() ready:send(name) end})
    end
    local a <close> = closing "outer"
    pcall(function()
      local b <close> = closing "middle"
      local c <close> = closing "inner"
      ready:send "on"
      while true do end
    end)
  ]], says = "inner\nmiddle\nouter\n", opts = "grace = 5"},
  {"waits, with a __close handler", [[
    local t <close> = setmetatable({}, {__close = function() ready:send "closed" end})
    ready:send "on"
    Isolate.sleep(1000)
  ]], says = "closed\n", opts = "grace = 5"},
  {"has __close handlers that wait, one inside the other", [[
    local function closing(name)
      return setmetatable({}, {__close = function() Isolate.sleep(0.01) ready:send(name) end})
    end
    local a <close> = closing "outer"
    local b <close> = closing "inner"
    ready:send "on"
    while true do end
  ]], says = "inner\nouter\n", opts = "grace = 5"},
  {"has a __close handler that runs an isolate and awaits it", [[
    local t <close> = setmetatable({}, {__close = function()
      ready:send("closed " .. Isolate.run(function() return 1 end):await())
    end})
    ready:send "on"
    while true do end
  ]], says = "closed 1\n", opts = "grace = 5"},
  {"has a __close handler that catches errors, collects and makes coroutines", [[
    local t <close> = setmetatable({}, {__close = function()
      assert(not pcall(error, "mine"))
      assert(coroutine.wrap(function() return coroutine.yield() or true end)() == nil)
      for i = 1, 100 do coroutine.resume(coroutine.create(function() return {i} end)) end
      collectgarbage()
      ready:send "closed"
    end})
    ready:send "on"
    while true do pcall(function() while true do end end) end
  ]], says = "closed\n", opts = "grace = 5"},
  {"has a __close handler in a waiting task", [[
    Isolate.async(function()
      local t <close> = setmetatable({}, {__close = function() ready:send "closed" end})
      Isolate.sleep(1000)
    end)
    ready:send "on"
    while true do end
  ]], says = "closed\n", opts = "grace = 5"},
  {"has a __close handler that spawns and loops", [[
    local t <close> = setmetatable({}, {__close = function()
      while true do Isolate.spawn(function() end) end
    end})
    ready:send "on"
    while true do end
  ]], opts = "grace = 0.02"},
  {"has a __close handler, and no grace at all", [[
    local t <close> = setmetatable({}, {__close = function() ready:send "closed" end})
    ready:send "on"
    while true do end
  ]], opts = "grace = 0"},
  {"has a __close handler that never ends", [[
    local t <close> = setmetatable({}, {__close = function() while true do end end})
    ready:send "on"
    while true do end
  ]]},
  {"has a __close handler that loops in pcall", [[
    local t <close> = setmetatable({}, {__close = function()
      while true do pcall(function() while true do end end) end
    end})
    ready:send "on"
    while true do end
  ]]},
  {"has a __close handler that waits for ever", [[
    local t <close> = setmetatable({}, {__close = function() Isolate.sleep(1000) end})
    ready:send "on"
    while true do end
  ]]},
  {"has a __close handler that reads for ever", [[
    local file = io.open(FIFO, "r+")
    local t <close> = setmetatable({}, {__close = function() file:read() end})
    ready:send "on"
    while true do end
  ]]},
  {"has a __close handler that never ends, in every turn of a pcall loop", [[
    ready:send "on"
    while true do
      pcall(function()
        local t <close> = setmetatable({}, {__close = function() while true do end end})
        while true do end
      end)
    end
  ]]},

  -- waits
  {"waits in io.read", [[ io.input(io.open(FIFO, "r+")) ready:send "on" io.read() ]]},
  {"waits in a file's read, again and again", [[
    local file = io.open(FIFO, "r+")
    ready:send "on"
    while true do pcall(file.read, file, "a") end
  ]]},
  {"waits in io.lines", [[ ready:send "on" while true do pcall(function() for _ in io.lines(FIFO) do end end) end ]]},
  {"waits in io.open of a fifo", [[ ready:send "on" io.open(FIFO, "r") ]]},
  {"waits in a read of io.popen", [[
    local pipe = io.popen "exec sleep 12 2>/dev/null"
    ready:send "on"
    pipe:read "a"
  ]], reports = true},
  {"waits in os.execute", [[ ready:send "on" os.execute "exec sleep 12 >/dev/null 2>&1" ]]},
  {"waits in os.execute, again and again", [[
    ready:send "on"
    while true do pcall(os.execute, "exec sleep 12 >/dev/null 2>&1") end
  ]]},
  {"waits for the end of a command, in a pipe's close", [[
    local pipe = io.popen("exec sleep 12 >/dev/null 2>&1", "w")
    ready:send "on"
    pipe:close()
  ]]},
  {"waits in a write to a full pipe", [[
    local file = io.open(FIFO, "r+")
    file:setvbuf "no"
    ready:send "on"
    while true do file:write(("x"):rep(1 << 20)) end
  ]]},
  {"waits in receive", [[ ready:send "on" Isolate.ReceivePort():receive() ]]},
  {"waits in receive, with a timeout, again and again", [[
    local port = Isolate.ReceivePort()
    ready:send "on"
    while true do pcall(port.receive, port, 0.001) end
  ]]},
  {"waits in messages", [[ ready:send "on" for _ in Isolate.ReceivePort():messages() do end ]]},
  {"waits in first", [[ ready:send "on" Isolate.ReceivePort():first():await() ]]},
  {"waits in its loop with an open port", [[ ready:send "on" Isolate.ReceivePort():listen(print) ]]},
  {"waits in sleep", [[ ready:send "on" Isolate.sleep(1000) ]]},
  {"waits in sleep, again and again", [[ ready:send "on" while true do pcall(Isolate.sleep, 0.001) end ]]},
  {"waits in join", [[
    local other = Isolate.spawn(function() Isolate.ReceivePort() end)
    ready:send "on"
    other:join()
  ]]},
  {"waits in join of itself", [[ ready:send "on" Isolate.current:join() ]]},
  {"waits in await", [[
    local future = Isolate.run(function() Isolate.sleep(1000) end)
    ready:send "on"
    future:await()
  ]]},
  {"waits in await in a coroutine of its own", [[
    coroutine.wrap(function()
      ready:send "on"
      Isolate.Future.delayed(1000):await()
    end)()
  ]]},
  {"waits in await in a comparator of table.sort", [[
    table.sort({2, 1}, function() ready:send "on" Isolate.sleep(1000) end)
  ]]},
  {"waits in 100 tasks", [[
    for _ = 1, 100 do Isolate.async(function() while true do pcall(Isolate.sleep, 1000) end end) end
    ready:send "on"
  ]]},

  -- the collector, hooks
  {"loops with the collector stopped", [[
    collectgarbage "stop"
    ready:send "on"
    while true do
      local t = {}
      for i = 1, 1000 do t[1] = i end
    end
  ]]},
  {"loops with the collector stopped, in coroutines", [[
    collectgarbage "stop"
    ready:send "on"
    while true do coroutine.wrap(function() for _ = 1, 100000 do end end)() end
  ]]},
  {"allocates in the generational mode", [[
    collectgarbage "generational"
    ready:send "on"
    local t
    while true do t = {coroutine.create(function() return t end)} end
  ]]},
  {"allocates in the incremental mode, with a collector that hardly rests", [[
    collectgarbage("incremental", 100, 1000)
    ready:send "on"
    local t
    while true do t = {coroutine.create(function() return t end)} end
  ]]},
  {"makes weak tables and resurrects what finalizers get", [[
    local kept = setmetatable({}, {__mode = "v"})
    local class = {}
    class.__gc = function(o) kept[1] = setmetatable(o, class) end
    ready:send "on"
    while true do setmetatable({}, class) kept[2] = {} end
  ]]},
  {"collects in a loop", [[ ready:send "on" while true do collectgarbage() end ]]},
  {"has a count hook of its own", [[
    debug.sethook(function() end, "", 1000)
    ready:send "on"
    while true do end
  ]]},
  {"has a line hook of its own, set in a coroutine", [[
    coroutine.wrap(function()
      debug.sethook(function() end, "crl")
      ready:send "on"
      while true do
        local x = 1
      end
    end)()
  ]]},
  {"has a hook of its own that sets itself again", [[
    local function hook() debug.sethook(hook, "l", 1) end
    hook()
    ready:send "on"
    while true do pcall(function()
      while true do
      end
    end) end
  ]]},
  {"has a count hook of one instruction that sets itself again", [[
    local function hook() debug.sethook(hook, "", 1) end
    ready:send "on"
    debug.sethook(hook, "", 1)
    while true do pcall(function() while true do end end) end
  ]]},
  {"sets hooks of its own on its coroutines, again and again", [[
    local function hook() end
    local list = {}
    for i = 1, 5 do
      list[i] = coroutine.create(function()
        while true do pcall(function() for _ = 1, 1000 do end coroutine.yield() end) end
      end)
    end
    ready:send "on"
    while true do
      pcall(function()
        while true do
          for i = 1, 5 do
            debug.sethook(list[i], hook, "crl", 1)
            coroutine.resume(list[i])
          end
        end
      end)
    end
  ]]},
  {"has a hook that raises in a loop", [[
    ready:send "on"
    while true do
      coroutine.resume(coroutine.create(function()
        debug.sethook(function() error "mine" end, "", 1000)
        while true do end
      end))
    end
  ]]},
  {"removes every hook, again and again", [[
    ready:send "on"
    while true do pcall(function() while true do debug.sethook() end end) end
  ]]},
  {"removes the hook of every coroutine, again and again", [[
    local co = coroutine.create(function() while true do pcall(coroutine.yield) end end)
    coroutine.resume(co)
    ready:send "on"
    local main = coroutine.running()
    while true do pcall(function()
      while true do debug.sethook(co) debug.sethook(main) coroutine.resume(co) end
    end) end
  ]]},
  {"keeps copies of pcall and coroutine.resume, and hides the originals", [[
    local pcall, resume = rawget(_G, "pcall"), coroutine.resume
    for _, name in ipairs {"pcall", "xpcall", "error", "coroutine"} do rawset(_G, name, nil) end
    ready:send "on"
    local create = package.loaded.coroutine.create
    while true do resume(create(function() while true do pcall(function() while true do end end) end end)) end
  ]]},

  -- values on their way
  {"decodes a large message", [[
    local inbox = Isolate.ReceivePort()
    ready:send(inbox.send_port)
    for _ in inbox:messages() do end
  ]], before = [[
    local photos = {}
    for i = 1, 100000 do photos[i] = {id = i, title = "photo " .. i, tags = {"a", "b"}} end
    port:receive(8):send(photos)
  ]]},
  {"decodes large messages without an end", [[
    local inbox = Isolate.ReceivePort()
    local list = {}
    for i = 1, 100000 do list[i] = {i} end
    inbox.send_port:send(list)
    ready:send "on"
    while true do pcall(function() inbox.send_port:send((inbox:receive())) end) end
  ]]},
  {"encodes a large message, again and again", [[
    local inbox = Isolate.ReceivePort()
    local list = {}
    for i = 1, 100000 do list[i] = {i} end
    ready:send "on"
    while true do
      pcall(inbox.send_port.send, inbox.send_port, list)
      inbox:receive()
    end
  ]]},
  {"loops in the rebuild of a __transfer", [[
    local inbox = Isolate.ReceivePort()
    local class = {}
    class.__transfer = function() return function() ready:send "on" while true do end end end
    while true do
      inbox.send_port:send(setmetatable({}, class))
      pcall(inbox.receive, inbox)
    end
  ]]},
  {"loops in a __transfer", [[
    local class = {__transfer = function() ready:send "on" while true do end end}
    while true do pcall(ready.send, ready, {setmetatable({}, class)}) end
  ]]},
  {"loops in a rebuild in the middle of a large message", [[
    local inbox = Isolate.ReceivePort()
    local class, list = {}, {}
    class.__transfer = function() return function() ready:send "on" while true do end end end
    for i = 1, 50000 do list[i] = {i} end
    list[25000] = setmetatable({}, class)
    inbox.send_port:send(list)
    while true do pcall(inbox.receive, inbox) end
  ]]},
  {"loops in a rebuild of its first message", [[]], message = [[
    setmetatable({}, {__transfer = function()
      local ready = port.send_port
      return function() ready:send "on" while true do end end
    end})
  ]]},
  {"loops in __index of the globals that a function reads", [[
    local env = setmetatable({}, {__index = function() ready:send "on" while true do end end})
    local f = load("return some_global", "=f", "t", env)
    while true do pcall(ready.send, ready, f) end
  ]]},
  {"is still starting", [[ while true do end ]], before = ""},
}

describe("kill(Isolate.immediate) #signal ends an isolate that", function()
  for _, row in ipairs(rows) do
    it(row[1] .. " (pain 4)", function()
      local result = run(killing(row[2], row.opts, row.before, row.message))
      assert.are.equal("true\n" .. (row.says or "") .. "42\n", result.stdout)
      if not row.reports then assert.are.equal("", result.stderr) end
      assert.are.equal(0, result.status)
    end)
  end

  it("waits for stdin (pain 4)", function()
    local result = run(killing [[ ready:send "on" io.read() ]], {stdin = true})
    assert.are.equal("true\n42\n", result.stdout)
    assert.are.equal("", result.stderr)
    assert.are.equal(0, result.status)
  end)

  it("was spawned by one that is gone (pain 4)", function()
    local result = run [[
      local Isolate = require "isolate"
      local port = Isolate.ReceivePort()
      Isolate.spawn(function(ready)
        Isolate.spawn(function(reply)
          reply:send(Isolate.current)
          while true do pcall(function() while true do end end) end
        end, ready)
      end, port.send_port):join(8)
      local child = port:receive(8)
      Isolate.sleep(0.03)
      child:kill(Isolate.immediate)
      print(child:join(8))
    ]]
    assert.are.equal("true\n", result.stdout)
    assert.are.equal(0, result.status)
  end)

  it("is one of twenty, all killed at once (pain 4)", function()
    local result = run [[
      local Isolate = require "isolate"
      local port = Isolate.ReceivePort()
      local list = {}
      for i = 1, 20 do
        list[i] = Isolate.spawn(function(ready)
          ready:send "on"
          while true do pcall(coroutine.wrap(function() while true do end end)) end
        end, port.send_port)
      end
      for _ = 1, 20 do port:receive(8) end
      for i = 1, 20 do list[i]:kill(Isolate.immediate) end
      local ended = 0
      for i = 1, 20 do if list[i]:join(8) then ended = ended + 1 end end
      print(ended)
    ]]
    assert.are.equal("20\n", result.stdout)
    assert.are.equal(0, result.status)
  end)
end)

-- Nothing stops these (C functions, a finalizer, a hook of its own at work):
-- they are abandoned and reported, and the program goes on and ends.
local beyond_reach = {
  {"a string.find without an end", [[
    ready:send "on"
    local s = ("a"):rep(40)
    s:find(("a*"):rep(20) .. "b")
  ]]},
  {"a string.gsub and a string.gmatch without an end", [[
    ready:send "on"
    local s, pattern = ("a"):rep(40), ("a*"):rep(20) .. "b"
    while true do
      pcall(string.gsub, s, pattern, "")
      for _ in s:gmatch(pattern) do end
    end
  ]]},
  {"a sleep of a C module that sleeps on after a signal", [[
    local sleep = require "system".sleep
    ready:send "on"
    sleep(1000)
  ]]},
  {"a finalizer that never ends", [[
    setmetatable({}, {__gc = function() ready:send "on" while true do end end})
    collectgarbage()
  ]]},
  {"a finalizer that never ends, at the end of the state", [[
    local t = setmetatable({}, {__gc = function() while true do end end})
    ready:send "on"
    while t do end
  ]]},
  {"a hook of its own that never ends", [[
    debug.sethook(function() ready:send "on" while true do end end, "l")
    local x = 1
    return x
  ]]},
}

describe("an isolate that no kill can reach #signal is abandoned:", function()
  for _, row in ipairs(beyond_reach) do
    it(row[1] .. " (pain 4)", function()
      local result = run(with_fifo(([[
        local Isolate = require "isolate"
        local port = Isolate.ReceivePort()
        local iso = Isolate.spawn(function(ready)
          %s
        end, port.send_port, {name = "stubborn"})
        print(port:receive(8))
        Isolate.sleep(0.05)
        iso:kill(Isolate.immediate)
        print(iso:join(0.2))
        print(Isolate.run(function() return 6 * 7 end):await(8))
        os.exit(3, true)
      ]]):format(row[2])))
      assert.are.equal("on\nnil\ttimeout\n42\n", result.stdout)
      assert.are.equal("isolate 'stubborn' does not stop (in a long C call?): abandoned\n", result.stderr)
      assert.are.equal(3, result.status)
    end)
  end

  for _, ending in ipairs {"", "os.exit()", "os.exit(true, true)", "error 'the end'"} do
    it("a string.find, by a program that does not kill it and ends " ..
      (ending == "" and "at its last line" or "by " .. ending) .. " (pains 3, 4)", function()
      local result = run([[
        local Isolate = require "isolate"
        local port = Isolate.ReceivePort()
        for i = 1, 3 do
          Isolate.spawn(function(ready)
            ready:send "on";
            (("a"):rep(40)):find(("a*"):rep(20) .. "b")
          end, port.send_port, {name = "stubborn " .. i})
        end
        for _ = 1, 3 do port:receive(8) end
        Isolate.sleep(0.05)
      ]] .. ending)
      for i = 1, 3 do
        assert.are.equal(1, select(2, result.stderr:gsub("isolate 'stubborn " .. i .. "' does not stop", "")))
      end
      assert.are.equal(ending:find "error" and 1 or 0, result.status)
    end)
  end
end)

describe("an isolate that spins #signal ends", function()
  local function hunted(killer)
    local result = run(([[
      local Isolate = require "isolate"
      local port = Isolate.ReceivePort()
      local iso = Isolate.spawn(function(ready)
        ready:send "on"
        while true do pcall(function() while true do end end) end
      end, port.send_port)
      assert(port:receive(8) == "on")
      %s
      print(iso:join(8))
      print(Isolate.run(function() return 6 * 7 end):await(8))
    ]]):format(killer))
    assert.are.equal("true\n42\n", result.stdout)
    assert.are.equal("", result.stderr)
    assert.are.equal(0, result.status)
  end

  it("when several isolates kill it at the same time (pain 4)", function()
    hunted [[
      local gates = {}
      for i = 1, 4 do
        Isolate.spawn(function(reply)
          local gate <close> = Isolate.ReceivePort()
          reply:send(gate.send_port)
          gate:receive()
          for _ = 1, 100 do iso:kill(Isolate.immediate) end
        end, port.send_port)
        gates[i] = port:receive(8)
      end
      for i = 1, 4 do gates[i]:send "go" end
    ]]
  end)

  it("when a child of a child kills it (pain 4)", function()
    hunted [[
      Isolate.spawn(function()
        Isolate.spawn(function() iso:kill(Isolate.immediate) end)
      end)
    ]]
  end)

  it("when its own child kills it (pain 4)", function()
    local result = run [[
      local Isolate = require "isolate"
      local iso = Isolate.spawn(function()
        local parent = Isolate.current
        Isolate.spawn(function() Isolate.sleep(0.01) parent:kill(Isolate.immediate) end)
        while true do pcall(function() while true do end end) end
      end)
      print(iso:join(8))
    ]]
    assert.are.equal("true\n", result.stdout)
    assert.are.equal(0, result.status)
  end)

  it("when it kills itself, in pcall (pain 4)", function()
    local result = run [[
      local Isolate = require "isolate"
      local iso = Isolate.spawn(function()
        while true do pcall(function() Isolate.current:kill(Isolate.immediate) while true do end end) end
      end)
      print(iso:join(8))
    ]]
    assert.are.equal("true\n", result.stdout)
    assert.are.equal("", result.stderr)
  end)
end)

describe("a killed isolate #signal", function()
  it("tells its exit listeners, and no error listener", function()
    local result = run [[
      local Isolate = require "isolate"
      local port, exits, errors = Isolate.ReceivePort(), Isolate.ReceivePort(), Isolate.ReceivePort()
      local iso = Isolate.spawn(function(ready)
        ready:send "on"
        while true do end
      end, port.send_port, {on_exit = exits.send_port, on_error = errors.send_port})
      port:receive(8)
      iso:kill(Isolate.immediate)
      print(select("#", exits:receive(8)))
      print(errors:receive(0.05))
    ]]
    assert.are.equal("1\nnil\ttimeout\n", result.stdout)
    assert.are.equal("", result.stderr)
  end)

  for _, row in ipairs {
    {"it caught the kill and returned", [[
      pcall(function() reply:send(Isolate.current) while true do end end)
      return "survived"
    ]]},
    {"it caught the kill and raised an error of its own", [[
      pcall(function() reply:send(Isolate.current) while true do end end)
      error "mine"
    ]]},
    {"only a coroutine died of it", [[
      coroutine.resume(coroutine.create(function() reply:send(Isolate.current) while true do end end))
      return "survived"
    ]]},
  } do
    it("counts as killed though " .. row[1], function()
      local result = run(([[
        local Isolate = require "isolate"
        local port = Isolate.ReceivePort()
        local future = Isolate.compute(function(reply) %s end, port.send_port, {grace = 5})
        local iso = port:receive(8)
        Isolate.sleep(0.03)
        iso:kill(Isolate.immediate)
        local ok, err = pcall(future.await, future, 8)
        print(ok, err.message)
      ]]):format(row[2]))
      assert.are.equal("false\tcomputation ended without result\n", result.stdout)
      assert.are.equal("", result.stderr)
    end)
  end

  it("leaves what it had sent before", function()
    local result = run [[
      local Isolate = require "isolate"
      local port = Isolate.ReceivePort()
      local iso = Isolate.spawn(function(ready)
        for i = 1, 1000 do ready:send(i) end
        while true do end
      end, port.send_port)
      while port:receive(8) ~= 500 do end
      Isolate.sleep(0.03)
      iso:kill(Isolate.immediate)
      iso:join(8)
      local sum = 0
      for i = 501, 1000 do
        local n = port:receive(8)
        assert(n == i)
        sum = sum + n
      end
      print(sum)
    ]]
    assert.are.equal("375250\n", result.stdout)
  end)

  it("takes nobody along: its children live on", function()
    local result = run [[
      local Isolate = require "isolate"
      local port = Isolate.ReceivePort()
      local iso = Isolate.spawn(function(ready)
        Isolate.spawn(function(reply)
          local inbox = Isolate.ReceivePort()
          reply:send(inbox.send_port)
          reply:send("heard " .. inbox:receive())
        end, ready)
        while true do end
      end, port.send_port)
      local child = port:receive(8)
      iso:kill(Isolate.immediate)
      print(iso:join(8))
      child:send "this"
      print(port:receive(8))
    ]]
    assert.are.equal("true\nheard this\n", result.stdout)
  end)
end)

describe("kill() without a priority", function()
  it("lets the running event end, and no other begin", function()
    local dir = helper.tempdir()
    local result = run(([[
      local Isolate = require "isolate"
      local port = Isolate.ReceivePort()
      local go = %q
      local iso = Isolate.spawn(function(reply)
        local inbox = Isolate.ReceivePort()
        inbox:listen(function(message)
          reply:send(message)
          local deadline = os.time() + 8
          repeat local file = io.open(go) until file or os.time() > deadline
          reply:send(message .. " ends")
        end)
        reply:send(inbox.send_port)
      end, port.send_port)
      local inbox = port:receive(8)
      inbox:send "first"
      inbox:send "second"
      print(port:receive(8))
      iso:kill()
      io.open(go, "w"):close()
      print(iso:join(8))
      print(port:receive(0))
      print(port:receive(0))
    ]]):format(dir .. "/go"))
    assert.are.equal("first\ntrue\nfirst ends\nnil\ttimeout\n", result.stdout)
    assert.are.equal("", result.stderr)
  end)

  it("ends one that waits", function()
    local result = run [[
      local Isolate = require "isolate"
      for _, wait in ipairs {
        function() Isolate.sleep(1000) end,
        function() Isolate.ReceivePort():receive() end,
        function() Isolate.ReceivePort():listen(print) end,
        function() Isolate.Timer.periodic(100, print) end,
        function() Isolate.run(Isolate.sleep, 1000):await() end,
      } do
        local port = Isolate.ReceivePort()
        local iso = Isolate.spawn(function(ready) ready:send "on" wait() end, port.send_port)
        port:receive(8)
        iso:kill(Isolate.before_next_event)
        io.write(tostring(iso:join(8)), " ")
      end
    ]]
    assert.are.equal(("true "):rep(5), result.stdout)
    assert.are.equal("", result.stderr)
  end)
end)
