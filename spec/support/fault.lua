--[[
fault.lua
Small programs, and what refuses them memory at the first, the second, … call of the
allocator. For fault_spec.lua, in a child process with spec/host/fault.c preloaded.

  fault.sweep(name, who, stride)   runs PROGRAMS[name] again and again, and at the next
                                   call each time, in the threads that 'who' names;
                                   prints what went wrong, and at last "clean"
]]

local Isolate = require "isolate"
local core = require "isolate.core"
local host = require "fault"

local fault = {}

local WAIT = 10 * (tonumber(os.getenv "ISOLATE_SLOW") or 1) -- seconds; who waits that long, waits for ever

-- How often in a row there is no memory. Once: Lua collects its garbage and asks again.
-- Twice: then there is still none, but later there is. 0: there is none until the end.
local TIMES = { 1, 2, 0 }

-- Blocks that a state may keep from one message to the next, or not.
local KEPT = 16

--
-- What is sent
--

local Point = { __name = "Point" }
Point.__index = Point
local function point(x) return setmetatable({ x = x }, Point) end
function Point:__transfer() return point, self.x end

local shared = { 1, 2, 3 }
local up = 5
function carried(x) return x * 2 end -- luacheck: globals carried
local large = {}
for i = 1, 6000 do large[i] = "text number " .. i end -- over 64 KiB: built in slices

local VALUES = {
  int      = { 42, function(v) return v == 42 end },
  table    = { { a = shared, b = { shared, { "deep", 1.5, [true] = shared } }, s = ("x"):rep(300) },
               function(v) return v.a == v.b[1] and v.b[2][true] == v.a and #v.s == 300 end },
  closure  = { function(x) return carried(x) + up + #shared end, -- luacheck: globals carried
               function(v) return v(1) == 10 end },
  transfer = { { point(7), point(8) }, function(v) return v[1].x == 7 and v[2].x == 8 end },
  large    = { large, function(v) return #v == 6000 and v[6000] == large[6000] end },
  huge     = { ("x"):rep((16 << 20) + 1), function(v) return #v == (16 << 20) + 1 end },
}

--
-- Programs: each comes to its end, or raises; ports and isolates are then gone
--

local PROGRAMS = {}

-- The next message; an error listener's is raised.
local function receive(port)
  local message, why = port:receive(WAIT)
  assert(why == nil, "nothing came: " .. tostring(why))
  if type(message) == "table" and #message == 2 and type(message[2]) == "string" then error(message[1], 0) end
  return message
end

for name, it in pairs(VALUES) do
  local value, check = it[1], it[2]

  PROGRAMS["receives " .. name] = function()
    local port <close> = Isolate.ReceivePort()
    port.send_port:send(value)
    assert(check(receive(port)), "another value came")
  end

  PROGRAMS["listens for " .. name] = function()
    local port <close> = Isolate.ReceivePort()
    local completer = Isolate.Completer()
    port:listen(function(v) completer:complete(v) end)
    port.send_port:send(value)
    assert(check(completer.future:await(WAIT)), "another value came")
  end

  PROGRAMS["runs with " .. name] = function()
    assert(check(Isolate.run(function(v) return v end, value):await(WAIT)), "another value came")
  end
end

PROGRAMS["spawns"] = function()
  local port <close> = Isolate.ReceivePort()
  local out <close> = Isolate.ReceivePort()
  local iso = Isolate.spawn(function(p) p:send "hello" end, port.send_port, {
    name = "child", memory_limit = 2^24, libs = { "string", "table", "math", "package" },
    on_error = port.send_port, on_exit = out.send_port,
  })
  local heard, message = pcall(receive, port)
  assert(receive(out) == nil) -- whatever happened to it
  assert(iso:join(WAIT))
  if not heard then error(message, 0) end
  assert(message == "hello")
end

PROGRAMS["controls"] = function()
  local port <close> = Isolate.ReceivePort()
  local iso
  local _ <close> = setmetatable({}, { __close = function()
    if iso then iso:kill(Isolate.immediate) end
  end })
  iso = Isolate.spawn(function(p)
    local inbox = Isolate.ReceivePort()
    p:send(inbox.send_port)
    inbox:receive()
  end, port.send_port, { on_error = port.send_port })
  receive(port)
  local capability = iso:pause()
  iso:ping(port.send_port, "pong")
  assert(receive(port) == "pong")
  iso:resume(capability)
  iso:add_on_exit_listener(port.send_port, { "bye" })
  assert(#Isolate.list() == 2)
  iso:kill(Isolate.immediate)
  assert(receive(port)[1] == "bye")
end

PROGRAMS["exits with a message"] = function()
  local port <close> = Isolate.ReceivePort()
  Isolate.spawn(function(p) Isolate.exit(p, { "last", p }) end, port.send_port,
    { on_error = port.send_port, on_exit = port.send_port })
  assert(receive(port)[1] == "last")
end

PROGRAMS["opens ports"] = function()
  local port <close> = Isolate.ReceivePort()
  local raw <close> = Isolate.RawReceivePort(function() end)
  local capability = Isolate.Capability()
  port.send_port:send { raw.send_port, capability }
  local message = receive(port)
  assert(message[1] == raw.send_port and message[2] == capability)
  local taken <close> = Isolate.ReceivePort.from_raw(raw)
  taken.send_port:send "taken"
  assert(receive(taken) == "taken")
end

PROGRAMS["explains"] = function()
  assert(#Isolate.explain { VALUES.table[1], VALUES.closure[1], print, io.stdout } > 10)
end

PROGRAMS["has tasks and timers"] = function()
  local port <close> = Isolate.ReceivePort()
  local slept = Isolate.async(function() Isolate.sleep(0.0001) return 7 end)
  local more = slept:next(function(v) return v + 1 end)
  local received = Isolate.async(function() return (port:receive(WAIT)) end)
  port.send_port:send(3)
  local all = Isolate.Future.all { more, received }:await(WAIT)
  assert(all[1] == 8 and all[2] == 3)
  assert(Isolate.Future.delayed(0.0001, function() return 1 end):await(WAIT) == 1)
  local ticks = Isolate.Completer()
  local timer <close> = setmetatable({}, { __close = function(self)
    if self.timer then self.timer:cancel() end
  end })
  timer.timer = false
  timer.timer = Isolate.Timer.periodic(0.0001, function(it)
    if it.tick >= 3 then
      it:cancel()
      ticks:complete(it.tick)
    end
  end)
  assert(ticks.future:await(WAIT) >= 3)
end

--
-- Judging
--

local problems = 0

local function complain(where, ...)
  problems = problems + 1
  print("\n" .. where .. ": " .. table.concat({ ... }, " "))
end

-- Waits until only this isolate is left. False if others stay.
local function alone()
  for _ = 1, WAIT * 1000 do
    if #Isolate.list() == 1 then return true end
    Isolate.sleep(0.001)
  end
  return false
end

-- How many blocks the library holds when garbage is collected; waits until no more than
-- 'most' are left: longer than states stand by, of which there may be more than before.
local function live(most)
  local n
  for _ = 1, 600 do
    for _ = 1, 3 do collectgarbage() end
    n = host.live()
    if n <= most then break end
    Isolate.sleep(0.005)
  end
  return n
end

-- States that stand by for the next isolates are blocks, too: makes the library keep as
-- many as it ever does.
local function fill_standby()
  local list = {}
  for i = 1, 20 do list[i] = Isolate.run(function() end) end
  for _, it in ipairs(list) do it:await(WAIT) end
end

-- What Lua itself says for lack of memory in a state that has only begun, as those of other isolates: its luaL_checkstack
-- tells of a stack that cannot grow as of one that may not; and if the first long buffer of a state finds no memory, what
-- is left of its class lets no other be made, not for the traceback either. (The same in plain Lua.)
local OF_LUA = {"stack overflow$", "^variable '%(C temporary%)' got a non%-closable value$"}

local function for_lack_of_memory(problem, who)
  for _, text in ipairs(who == "others" and OF_LUA or {}) do
    if problem:find(text) then return true end
  end
  return problem:find("not enough memory", 1, true)
    or problem:find "^IsolateSpawnError: cannot start a thread: "
end

-- The program with the n-th call refused. Returns how many calls there were, and whether
-- one was refused.
local function try(program, where, n, times, who)
  local alive = core.alive()
  host.arm("memory", n, times, who)
  local ok, problem = pcall(program)
  local seen, refused = host.disarm()
  problem = not ok and tostring(problem)
  if problem and refused == 0 then complain(where, "fails by itself:", problem) end
  if problem and not for_lack_of_memory(problem, who) then complain(where, problem) end
  if not alone() then complain(where, "isolates are left") end
  ok, problem = pcall(program)
  if not ok then complain(where, "afterwards:", tostring(problem)) end
  if not alone() then complain(where, "afterwards isolates are left") end
  if core.alive() ~= alive then complain(where, "open:", core.alive() - alive) end
  return seen, refused > 0
end

function fault.sweep(name, who, stride)
  io.stdout:setvbuf "no"
  local program = PROGRAMS[name]
  assert(host.watch(core.now))
  for _ = 1, 3 do program() end
  fill_standby()
  assert(alone())
  Isolate.sleep(0.1) -- threads may have a last thing to do
  local blocks = live(math.huge)
  for _, times in ipairs(TIMES) do
    local n, fired, refusals = 1, true, 0
    while fired do
      io.write(n, " ")
      local where = ("%s, refused %d times from call %d on (%s)"):format(name, times, n, who)
      local _
      _, fired = try(program, where, n, times, who)
      if fired then refusals = refusals + 1 end
      n = n + stride
    end
    assert(refusals > 0, "nothing was refused")
    local lost = live(blocks + KEPT) - blocks
    if lost > KEPT then complain(name, lost, "blocks are lost") end
  end
  print(problems == 0 and "\nclean" or "\nnot clean")
end

return fault
