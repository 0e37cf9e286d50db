--- The remote side of `run` and `compute`, when the function waits, fails or uses
-- the library; else C sends its results (boot.c).

local table = table
local core = require "isolate.core"
local boot = require "isolate.boot"
local errors = require "isolate.errors"
local future = require "isolate.future"
local loop = require "isolate.loop"

-- The answer: the results, or what a RemoteError is made of. It leaves when the
-- isolate is at its end.
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

--- Goes on with the function, as `boot.take_over` does, until its results are there.
return function(reply, ...)
  local result = future.new()
  boot.take_over(function(value, traceback) future.fail(result, value, traceback) end,
    function(...) future.complete(result, ...) end, ...)
  result.heard = true
  loop.run(result)
  if core.forked() then
    if not result.ok then loop.uncaught(result.failure, result.traceback) end
  elseif result.done then
    answer(reply, result)
  end
end
