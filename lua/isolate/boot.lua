--- The remote side: what a new isolate needs of our Lua layer. C has begun its
-- function already, as the first task (boot.c); this is loaded when there is
-- more to do than to send the results.

local table, package = table, package
local core = require "isolate.core"
local errors = require "isolate.errors"
local loop = require "isolate.loop"

local boot = { uncaught = loop.uncaught }

--- What the spawner had in package.preload and package.searchers.
function boot.setup()
  local inherited = core.setup()
  for module, loader in pairs(inherited.preload) do
    if package.preload[module] == nil then package.preload[module] = loader end
  end
  for _, searcher in ipairs(inherited.searchers) do
    local known = false
    for _, other in ipairs(package.searchers) do known = known or rawequal(other, searcher) end
    if not known then table.insert(package.searchers, searcher) end
  end
end

-- The answer of `run` and `compute`: the results, or what a RemoteError is
-- made of. It leaves when the isolate is at its end.
local function answer(reply, result)
  local _, _, _, name = core.self()
  if result.ok then
    local ok, why = pcall(core.last, reply, "result", true, table.unpack(result, 1, result.n))
    if ok then return end
    core.check()
    core.last(reply, "result", false, errors.message(why), "", name)
    return
  end
  local value = result.failure
  local message, traceback = errors.describe(value, result.traceback)
  if not pcall(core.last, reply, "result", false, message, traceback, name, value) then
    core.check()
    core.last(reply, "result", false, message, traceback, name)
  end
end

--- The function, whose task is `co`, has returned (`ok`), failed (not `ok`) or
-- waits (nil); the rest are its results, the error, what it yielded. With a
-- reply port the isolate's life is this one computation; else it is what the
-- function set going.
function boot.go_on(reply, co, ok, ...)
  local future = reply and require "isolate.future"
  local result = reply and future.new()
  local function failed(value, traceback)
    if result then future.fail(result, value, traceback) else loop.uncaught(value, traceback) end
  end
  local function returned(...)
    if result then future.complete(result, ...) end
  end
  local values = table.pack(...)
  loop.first(function()
    if ok then
      loop.start(failed, returned, table.unpack(values, 1, values.n))
    else
      loop.adopt(co, failed, returned, ok == nil, values[1])
    end
  end)
  if result then
    result.heard = true
    loop.run(result)
    if core.forked() then
      if not result.ok then loop.uncaught(result.failure, result.traceback) end
    elseif result.done then
      answer(reply, result)
    end
  else
    loop.run {}
  end
  loop.out_of_work()
end

return boot
