--- Several functions at once: parallel, race, and scopes that their isolates do
-- not outlive.

local table = table
local computation = require "isolate.computation"
local core = require "isolate.core"
local errors = require "isolate.errors"
local future = require "isolate.future"
local handle = require "isolate.handle"
local spawn = require "isolate.spawn"

local together = {}

-- Starts all. If one cannot be, none is left.
local function start(name, ...)
  local list, n = {}, select("#", ...)
  for i = 1, n do errors.check_function((select(i, ...)), i, name, false, 4) end
  for i = 1, n do
    local ok, result = pcall(computation.run, (select(i, ...)))
    if not ok then
      for _, it in ipairs(list) do it:cancel() end
      errors.rethrow(result, 4)
    end
    list[i] = result
  end
  return list
end

-- The Future of the whole: when it is done, what is left of the parts is killed.
local function whole(list, on_part)
  local result = future.new()
  local function stop()
    for _, it in ipairs(list) do it:cancel() end
  end
  for _, it in ipairs(list) do
    future.listen(it, function()
      if result.done then return end
      on_part(result, it)
      if result.done then stop() end
    end)
  end
  result.on_cancel = stop
  return result
end

--- Runs all functions, each in an isolate of its own: a Future of the first result
-- of each. The first error is the Future's, and kills the rest.
---@param ... function
---@return isolate.Future
function together.parallel(...)
  local list = start("parallel", ...)
  local left = #list
  if left == 0 then return future.Future.value() end
  return (whole(list, function(result, it)
    left = left - 1
    if not it.ok then
      future.fail(result, it.failure, it.traceback)
    elseif left == 0 then
      local values = {}
      for i, part in ipairs(list) do values[i] = part[1] end
      future.complete(result, table.unpack(values, 1, #list))
    end
  end))
end

--- Runs all functions: a Future of what the first to finish returned, or of its
-- error. The others are killed.
---@param ... function  at least one
---@return isolate.Future
function together.race(...)
  local list = start("race", ...)
  if #list == 0 then error("bad argument #1 to 'race' (function expected, got no value)", 2) end
  return (whole(list, function(result, it)
    if it.ok then
      future.complete(result, table.unpack(it, 1, it.n))
    else
      future.fail(result, it.failure, it.traceback)
    end
  end))
end

---@class isolate.Scope
local Scope = { __name = "isolate.Scope", __transfer = false }
Scope.__index = Scope

local function check_open(self, name)
  if getmetatable(self) ~= Scope then errors.bad_self("Scope", self, name, 3) end
  if self.closed then error("this scope is closed", 3) end
end

--- `Isolate.spawn`, for an isolate that ends with the scope.
---@param fn function
---@param message any
---@param opts isolate.SpawnOptions?
---@return isolate.Handle
function Scope:spawn(fn, message, opts)
  check_open(self, "spawn")
  errors.check_function(fn, 1, "spawn")
  local ok, iso = pcall(spawn.spawn, fn, message, opts)
  if not ok then errors.rethrow(iso, 3) end
  self.handles[iso] = true
  return iso
end

--- `Isolate.run`, for an isolate that ends with the scope.
---@param fn function
---@param ... any
---@return isolate.Future
function Scope:run(fn, ...)
  check_open(self, "run")
  errors.check_function(fn, 1, "run")
  local ok, result, made = pcall(computation.run_in_scope, fn, ...)
  if not ok then errors.rethrow(result, 3) end
  self.futures[result] = made
  return result
end

--- Kills what still runs, and waits until it has ended. Closing twice is fine.
function Scope:close()
  if getmetatable(self) ~= Scope then errors.bad_self("Scope", self, "close", 2) end
  self.closed = true
  for result in pairs(self.futures) do result:cancel() end
  for iso in pairs(self.handles) do iso:kill(handle.immediate) end
  for _, made in pairs(self.futures) do handle.make(core.rights(made)):join() end
  for iso in pairs(self.handles) do iso:join() end
  self.futures, self.handles = {}, {}
end

Scope.__close = Scope.close

--- A scope: `local scope <close> = Isolate.scope()`. Its isolates end with it.
---@return isolate.Scope
function together.scope()
  return setmetatable({ handles = {}, futures = {} }, Scope)
end

return together
