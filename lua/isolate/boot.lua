--- The remote side: what runs first in a new isolate. Called once by its
-- thread, and back when the isolate has nothing left to do.

local table, package = table, package
local core = require "isolate.core"
local errors = require "isolate.errors"
local future = require "isolate.future"
local loop = require "isolate.loop"

local _, _, _, name = core.self()

-- An error that nobody caught: to the error listeners or stderr; then, if such
-- errors are fatal, it is the end.
function loop.uncaught(value, traceback)
  core.report(errors.describe(value, traceback))
  if core.fatal() then core.exit(true) end
end

loop.unheard = loop.uncaught

-- What the spawner had in package.preload and package.searchers.
local function setup()
  local inherited = core.setup()
  if not inherited then return end
  for module, loader in pairs(inherited.preload) do
    if package.preload[module] == nil then package.preload[module] = loader end
  end
  for _, searcher in ipairs(inherited.searchers) do
    local known = false
    for _, other in ipairs(package.searchers) do known = known or rawequal(other, searcher) end
    if not known then table.insert(package.searchers, searcher) end
  end
end

-- Takes away the libraries that this isolate was not given. Before, all of our
-- layer is loaded, for it uses them.
local function restrict()
  if not core.restrict() then return end
  local Isolate = require "isolate"
  for key in pairs(getmetatable(Isolate).lazy) do local _ = Isolate[key] end
  core.restrict(true)
end

-- The answer of `run` and `compute`: the results, or what a RemoteError is
-- made of. It leaves when the isolate is at its end.
local function answer(reply, result)
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

local function failed(value, traceback) loop.uncaught(value, traceback) end

-- With a reply port the isolate's life is one computation; else it is what
-- the function set going.
local function main(reply, fn, ...)
  local arguments = table.pack(...)
  core.hold()
  if reply then
    local result = future.new()
    result.heard = true
    loop.ready(function() future.run(result, fn, table.unpack(arguments, 1, arguments.n)) end)
    loop.run(result)
    if core.forked() then
      if not result.ok then loop.uncaught(result.failure, result.traceback) end
    elseif result.done then
      answer(reply, result)
    end
  else
    loop.ready(function() loop.start(failed, fn, table.unpack(arguments, 1, arguments.n)) end)
    loop.run {}
  end
  loop.out_of_work()
end

local function begin(ok, ...)
  if ok then return main(...) end
  core.check()
  loop.uncaught(...)
end

return function()
  setup()
  restrict()
  begin(pcall(core.boot))
end
