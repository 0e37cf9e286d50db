--- isolate: Dart's isolates for Lua 5.4. The index: it only names what the
-- other files hold, and loads them when they are first used.

local io, require, string = io, require, string
local core = require "isolate.core"

local _, _, _, _, is_main = core.self()

local Isolate = {
  _VERSION = "isolate 0.1.0",
  is_main = is_main,
  list = core.list,
  processors = core.processors,
  fd = core.fd,
  Capability = core.capability,
}

-- All else is loaded when it is first used: its module, and its field there.
local lazy = {
  -- isolates
  run = "spawn.run",
  compute = "spawn.compute",
  spawn = "spawn.spawn",
  spawn_file = "spawn.spawn_file",
  exit = "spawn.exit",
  current = "handle.current",
  handle = "handle.restricted",
  immediate = "handle.immediate",
  before_next_event = "handle.before_next_event",
  stop_signal = "handle.stop_signal",

  -- ports
  ReceivePort = "port.ReceivePort",
  RawReceivePort = "port.RawReceivePort",

  -- futures, tasks, the loop
  Future = "future.Future",
  Completer = "future.Completer",
  async = "future.async",
  sleep = "loop.sleep",
  loop = "loop.loop",
  step = "loop.step",
  timeout = "loop.timeout",
  Timer = "user_timer",

  -- errors
  RemoteError = "errors.RemoteError",
  TimeoutError = "errors.TimeoutError",
  CancelledError = "errors.CancelledError",
  IsolateSpawnError = "errors.IsolateSpawnError",

  -- what is made of them
  Agent = "agent",
  Broadcast = "broadcast",
  cancelled = "worker.cancelled",
  Channel = "channel",
  connect = "service.connect",
  explain = "explain",
  names = "names",
  parallel = "together.parallel",
  Pool = "pool",
  progress = "worker.progress",
  ProgressBar = "progress_bar",
  race = "together.race",
  scope = "together.scope",
  select = "select",
  serve = "service.serve",
}

-- Where the modules are found may change with the program's directory; in other
-- isolates they come out of the process, and each takes room.
if is_main then
  local loop = require "isolate.loop"
  require "isolate.spawn"
  core.on_close(function()
    if loop.forgotten() then
      io.stderr:write("isolate: the program ended while callbacks, timers or tasks still waited;"
        .. " end it with Isolate.loop() to let them run\n")
    end
  end)
end

return setmetatable(Isolate, {
  __name = "module isolate",  -- as `Isolate:run(fn)` is told
  __index = function(self, key)
    local where = lazy[key]
    if where then
      local module, field = string.match(where, "^([%w_]+)%.?(.*)$")
      local value = require("isolate." .. module)
      if field ~= "" then value = value[field] end
      rawset(self, key, value)
      return value
    end
  end,
})
