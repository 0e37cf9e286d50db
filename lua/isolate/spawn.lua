--- The local side of a new isolate: how it is made and started; spawn, exit.

local string, math, debug, io, package, _G = string, math, debug, io, package, _G
local core = require "isolate.core"
local errors = require "isolate.errors"
local handle = require "isolate.handle"
local options = require "isolate.options"

local expected = errors.expected

local spawn = {}

local MIN_STACK = 512 * 1024

------------------------------------------------------------------------------
-- Our own modules, for isolates: kept as bytecode in the process

local layer = {
  "isolate", "isolate.agent", "isolate.answer", "isolate.boot", "isolate.broadcast",
  "isolate.buffer", "isolate.buffer_methods", "isolate.channel", "isolate.clock",
  "isolate.computation", "isolate.errors", "isolate.explain", "isolate.future",
  "isolate.handle", "isolate.host", "isolate.inherited", "isolate.inline", "isolate.listen", "isolate.loop",
  "isolate.map", "isolate.names", "isolate.options", "isolate.pool", "isolate.port",
  "isolate.private_port", "isolate.progress_bar", "isolate.raw_port", "isolate.request",
  "isolate.select", "isolate.service", "isolate.spawn", "isolate.stream",
  "isolate.stream_broadcast", "isolate.subscription", "isolate.timer", "isolate.together",
  "isolate.user_timer", "isolate.worker",
}

local shared = false

local function share_layer()
  if shared or core.library_has(layer[#layer]) then return end
  for _, name in ipairs(layer) do
    local loader = package.preload[name]
    if not loader then
      local path = assert(package.searchpath(name, package.path))
      loader = assert(loadfile(path))
    end
    core.library_add(name, string.dump(loader, true))  -- our lines help nobody there
  end
  shared = true
end

------------------------------------------------------------------------------
-- Options

local function is_port(value) return core.kind(value) == "SendPort" or "SendPort" end

local libraries = {
  base = true, package = true, coroutine = true, table = true, io = true, os = true,
  string = true, utf8 = true, math = true, debug = true,
}

local function is_libs(list)
  if type(list) ~= "table" then return "array of library names" end
  local n = rawlen(list)
  for key in next, list do
    if math.type(key) ~= "integer" or key < 1 or key > n then return "array of library names" end
  end
  for i = 1, n do
    local name = rawget(list, i)
    if not libraries[name] then
      return "name of a standard library at [" .. i .. "]", errors.show(name)
    end
  end
  return true
end

-- What each option has to be; see options.lua.
local checkers = {
  name = options.text, path = options.text, cpath = options.text,
  paused = options.flag, errors_are_fatal = options.flag,
  on_exit = is_port, on_error = is_port,
  memory_limit = options.bytes, grace = options.seconds, libs = is_libs,
  stack_size = options.number("number of bytes, at least " .. MIN_STACK,
    function(n) return n >= MIN_STACK and n < 2^62 end),
}

-- All of them, and one that belongs to one function only.
local function also(option, checker)
  local all = { [option] = checker }
  for key, value in pairs(checkers) do all[key] = value end
  return all
end

local file_checkers = also("args", options.is "table")

------------------------------------------------------------------------------
-- What a new isolate inherits

-- Relative entries of a path made absolute.
local function absolute(path, dir)
  return (string.gsub(path, "[^;]+", function(entry)
    if string.find(entry, "^%./") then return dir .. string.sub(entry, 2) end
    if not string.find(entry, "^[/\\]") and not string.find(entry, "^%a:[/\\]") then
      return dir .. "/" .. entry
    end
  end))
end

-- What an isolate gets without options. The paths are those of the last spawn, most
-- likely of the next.
local there = { errors_are_fatal = true }
local from_path, from_cpath, from_dir

-- Brings package.path and package.cpath for there up to date.
local function inherit_paths()
  local path, cpath, dir = package and package.path, package and package.cpath, core.cwd()
  if path ~= from_path or cpath ~= from_cpath or dir ~= from_dir then
    from_path, from_cpath, from_dir = path, cpath, dir
    there.path = path and dir and absolute(path, dir) or path
    there.cpath = cpath and dir and absolute(cpath, dir) or cpath
  end
end

local function sendable(value)
  local ok, why = pcall(core.sendable, value)
  if why == "not enough memory" then error(why, 0) end
  return ok
end

-- Preloaded modules and searchers of the user's, as far as they can be sent.
local function setup()
  local result
  if not package or core.standard(package) then return nil end
  for name, loader in pairs(package.preload or {}) do
    if type(name) == "string" and not string.find(name, "^isolate%f[%.\0]")
      and sendable(loader) then
      result = result or { preload = {}, searchers = {} }
      result.preload[name] = loader
    end
  end
  for _, searcher in ipairs(package.searchers or {}) do
    if debug.getinfo(searcher, "S").what ~= "C" and sendable(searcher) then
      result = result or { preload = {}, searchers = {} }
      result.searchers[#result.searchers + 1] = searcher
    end
  end
  return result
end

--- "app.lua:12" for a function.
local function name_of(fn)
  return type(fn) == "function" and core.place(fn) or "callable"
end

local function integer(value) return value and math.tointeger(value // 1) end

-- Makes an isolate that is still to be started. Options are ours: more is written
-- into them.
local function make(kind, opts, name, reply, fn, ...)
  if not core.threads then
    error(errors.IsolateSpawnError "this build has no threads; Isolate.compute works without", 0)
  end
  share_layer()
  inherit_paths()
  there.setup = setup()
  if not opts then return core.spawn(there, kind, name, reply, fn, ...) end
  opts.path = opts.path or there.path
  opts.cpath = opts.cpath or there.cpath
  opts.setup = there.setup
  if opts.errors_are_fatal == nil then opts.errors_are_fatal = true end
  opts.stack_size, opts.memory_limit = integer(opts.stack_size), integer(opts.memory_limit)
  return core.spawn(opts, kind, name, reply, fn, ...)
end

-- Starts it, or raises an IsolateSpawnError. The last thing to be done: nothing
-- may fail after it.
local function start(made)
  local ok, why = core.start(made)
  if not ok then error(errors.IsolateSpawnError(why), 0) end
end

-- For the other rooms of new isolates.
spawn.also, spawn.make, spawn.start, spawn.name_of = also, make, start, name_of

local function make_and_start(kind, opts, fn, ...)
  local made = make(kind, opts, opts.name or name_of(fn), nil, fn, ...)
  local iso = handle.make(core.rights(made))
  start(made)
  return iso
end

------------------------------------------------------------------------------
-- spawn, exit

---@class isolate.SpawnOptions
---@field name string?               default: the place of its function, "app.lua:12"; of a file, its name
---@field stack_size number?         bytes, at least 512 KiB (default 1 MiB)
---@field memory_limit number?       bytes of its Lua heap (default: none)
---@field path string?               its package.path (default: the spawner's, made absolute)
---@field cpath string?              the same of package.cpath
---@field libs string[]?             names of Lua's standard libraries (default: all)
---@field grace number?              seconds for `__close` handlers when it is stopped (default 0.05)
---@field paused boolean?            until `handle:resume(handle.pause_capability)`
---@field errors_are_fatal boolean?  does an uncaught error end it? (default true)
---@field on_exit isolate.SendPort?  gets nil at its end
---@field on_error isolate.SendPort?  gets {message, traceback} of each uncaught error

--- Dart's `Isolate.spawn`: calls `fn(message)` as a task, the first event of a new
-- isolate's loop, which then runs until nothing can wake it. Raises for what cannot be
-- sent, and an IsolateSpawnError where there is no thread to be had.
---@param fn function
---@param message any
---@param opts isolate.SpawnOptions?
---@return isolate.Handle
function spawn.spawn(fn, message, opts)
  errors.check_function(fn, 1, "spawn")
  opts = options.check(opts, 3, "spawn", checkers, 2)
  local ok, iso = pcall(make_and_start, "spawn", opts, fn, message)
  if not ok then errors.rethrow(iso, 3) end
  return iso
end

-- The function of an isolate that runs a file: what it gets is what it needs.
function spawn.chunk(message, source, name, args)
  if args ~= nil then _G.arg = args end  -- luacheck: globals arg
  return assert(load(source, name))(message)
end

---@class isolate.FileOptions : isolate.SpawnOptions
---@field args table?  its global `arg`

--- Dart's `Isolate.spawnUri`: `spawn` for a Lua file, whose chunk gets `message` as `...`.
-- A file that cannot be read or compiled raises at the call, too.
---@param path string
---@param message any
---@param opts isolate.FileOptions?
---@return isolate.Handle
function spawn.spawn_file(path, message, opts)
  errors.check_string(path, 1, "spawn_file")
  opts = options.check(opts, 3, "spawn_file", file_checkers, 2)
  local file, why = io.open(path, "rb")
  if not file then error("cannot read " .. why, 2) end
  local source, problem = file:read "a"
  file:close()
  if not source then error("cannot read " .. path .. ": " .. tostring(problem), 2) end
  local name = "@" .. path
  source = string.gsub(source, "^#[^\n]*", "", 1)
  local chunk, wrong = load(source, name)
  if not chunk then error("cannot compile " .. wrong, 2) end
  opts.name = opts.name or string.match(path, "[^/\\]+$")
  local ok, iso = pcall(make_and_start, "spawn", opts, spawn.chunk, message, source, name,
    opts.args)
  if not ok then errors.rethrow(iso, 3) end
  return iso
end

--- Dart's `Isolate.exit`: ends this isolate now; `message` is its last. Nothing catches that, but
-- `__close` handlers get the grace. Raises, and the isolate goes on, if the
-- message cannot be sent; raises in a main isolate.
---@param send_port isolate.SendPort?
---@param message any
function spawn.exit(send_port, message)
  local _, _, _, _, is_main = core.self()
  if is_main then error("Isolate.exit: this is a main isolate; it ends with its program", 2) end
  if send_port ~= nil then
    if core.kind(send_port) ~= "SendPort" then
      expected("SendPort", send_port, 1, "exit", 2)
    end
    local ok, why = pcall(core.last, send_port, "message", message)
    core.check()
    if not ok then errors.rethrow(why, 3) end
  end
  core.exit()
end

return spawn
