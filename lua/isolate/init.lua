--- isolate: Dart's isolates for Lua 5.4. The index: it only names what the
-- other files hold, and loads them when they are first used.

local io = io
local core = require "isolate.core"
local errors = require "isolate.errors"
local future = require "isolate.future"
local handle = require "isolate.handle"
local loop = require "isolate.loop"
local port = require "isolate.port"
local spawn = require "isolate.spawn"

local _, _, _, _, is_main = core.self()

local Isolate = {
  _VERSION = "isolate 0.1.0",

  -- isolates
  run = spawn.run,
  compute = spawn.compute,
  spawn = spawn.spawn,
  spawn_file = spawn.spawn_file,
  exit = spawn.exit,
  current = handle.current(),
  is_main = is_main,
  handle = handle.restricted,
  stop_signal = handle.stop_signal,
  immediate = handle.immediate,
  before_next_event = handle.before_next_event,
  list = core.list,
  processors = core.processors,

  -- ports
  ReceivePort = setmetatable({ from_raw = port.from_raw },
    { __call = function(_, ...) return port.ReceivePort(...) end }),
  RawReceivePort = port.RawReceivePort,
  Capability = core.capability,

  -- futures, tasks, the loop
  Future = future.Future,
  Completer = future.Completer,
  async = future.async,
  sleep = future.sleep,
  loop = loop.loop,
  step = loop.step,
  fd = core.fd,
  timeout = loop.timeout,

  -- errors
  RemoteError = errors.RemoteError,
  TimeoutError = errors.TimeoutError,
  CancelledError = errors.CancelledError,
  IsolateSpawnError = errors.IsolateSpawnError,
}

-- Loaded when first used: field -> module, and its field.
local lazy = {
  Agent = { "isolate.agent" },
  Broadcast = { "isolate.broadcast" },
  cancelled = { "isolate.worker", "cancelled" },
  Channel = { "isolate.channel" },
  connect = { "isolate.service", "connect" },
  explain = { "isolate.explain" },
  names = { "isolate.names" },
  parallel = { "isolate.together", "parallel" },
  Pool = { "isolate.pool" },
  progress = { "isolate.worker", "progress" },
  ProgressBar = { "isolate.progress_bar" },
  race = { "isolate.together", "race" },
  scope = { "isolate.together", "scope" },
  select = { "isolate.select" },
  serve = { "isolate.service", "serve" },
  Timer = { "isolate.user_timer" },
}

if is_main then
  core.on_close(function()
    if loop.forgotten() then
      io.stderr:write("isolate: the program ended while callbacks, timers or tasks still waited;"
        .. " end it with Isolate.loop() to let them run\n")
    end
  end)
end

return setmetatable(Isolate, {
  __name = "module isolate",  -- as `Isolate:run(fn)` is told
  lazy = lazy,
  __index = function(self, key)
    local where = lazy[key]
    if where then
      local value = require(where[1])
      if where[2] then value = value[where[2]] end
      rawset(self, key, value)
      return value
    end
  end,
})
