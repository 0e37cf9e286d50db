--- isolate: Dart's isolates for Lua 5.4. The index: it only names what the
-- other files hold, and loads them when they are first used.

local io, require, find, match = io, require, string.find, string.match
local core = require "isolate.core"

---@class isolate.Listed
---@field name string
---@field id integer
---@field state "running"|"idle"|"paused"
---@field queued integer   messages that wait
---@field memory integer?  bytes of its Lua heap
---@field cpu number?      seconds that it has run; absent, as `memory`, where nobody knows

-- With a function from the start: a table without one is no module to those who send
-- it, but a copy.
---@class isolate
---@field is_main boolean   is this a main isolate, one that was not spawned?
---@field list fun(): isolate.Listed[]  what lives now
---@field processors fun(): integer  how many processors this process may use
---@field fd fun(): integer?  a descriptor that is readable while messages wait, for a host's poll
---@field ReceivePort fun(name: string?): isolate.ReceivePort
---@field Capability fun(): isolate.Capability
local Isolate = { _VERSION = "isolate 0.1.0", is_main = core.main, list = core.list }

-- All else is loaded when it is first used: its module, and its field there. A
-- text: as a table it would take more room in each isolate than what it names.
local lazy = [[
  -- isolates
  run = computation.run
  compute = computation.compute
  spawn = spawn.spawn
  spawn_file = spawn.spawn_file
  exit = spawn.exit
  current = handle.current
  handle = handle.restricted
  immediate = handle.immediate
  before_next_event = handle.before_next_event
  stop_signal = handle.stop_signal
  processors = core.processors

  -- ports
  ReceivePort = core.ReceivePort
  RawReceivePort = raw_port.RawReceivePort
  Capability = core.capability

  -- futures, tasks, the loop
  Future = future.Future
  Completer = future.Completer
  async = future.async
  sleep = clock.sleep
  loop = host.loop
  step = host.step
  timeout = host.timeout
  fd = core.fd
  Timer = user_timer

  -- errors
  RemoteError = errors.RemoteError
  TimeoutError = errors.TimeoutError
  CancelledError = errors.CancelledError
  IsolateSpawnError = errors.IsolateSpawnError

  -- what is made of them
  Agent = agent
  Broadcast = broadcast
  cancelled = worker.cancelled
  Channel = channel
  connect = service.connect
  explain = explain
  names = names
  parallel = together.parallel
  Pool = pool
  progress = worker.progress
  ProgressBar = progress_bar
  race = together.race
  scope = together.scope
  select = select
  serve = service.serve
]]

-- Where the modules are found may change with the program's directory; in other
-- isolates they come out of the process, and each takes room.
if core.main then
  local host = require "isolate.host"
  require "isolate.computation"
  core.on_close(function()
    if host.forgotten() then
      io.stderr:write("isolate: the program ended while callbacks, timers or tasks still waited;"
        .. " end it with Isolate.loop() to let them run\n")
    end
  end)
end

return setmetatable(Isolate, {
  __name = "module isolate",  -- as `Isolate:run(fn)` is told
  __index = function(self, key)
    if type(key) ~= "string" or find(key, "[^%a_]") then return end
    local module, field = match(lazy, "\n  " .. key .. " = ([%a_]+)%.?([%a_]*)")
    if module then
      local value = require("isolate." .. module)
      if field ~= "" then value = value[field] end
      rawset(self, key, value)
      return value
    end
  end,
})
