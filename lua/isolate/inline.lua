--- `compute` where there are no threads: in this isolate's loop, a turn later, on
-- copies, with the same results and errors.

local clock = require "isolate.clock"
local core = require "isolate.core"
local errors = require "isolate.errors"
local future = require "isolate.future"
local loop = require "isolate.loop"

local inline = {}

--- Completes `result` with what `fn(message)` returns; `parcel` holds the two.
-- Once it has begun, nothing can stop it.
function inline.compute(result, parcel, name)
  local function settle()
    result.on_cancel = nil
    if result.timer then result.timer:cancel() end
  end

  local function failed(value, traceback)
    settle()
    local message, trace = errors.describe(value, traceback)
    local ok, _, copy = pcall(function() return core.unpack(core.pack("result", false, value)) end)
    core.check()
    future.fail(result, errors.RemoteError(message, trace, name, ok and copy or nil))
  end

  local function main()
    local _, fn, message = core.unpack(parcel)
    local answer = core.pack("result", true, fn(message))
    settle()
    future.complete(result, select(2, core.unpack(answer)))
  end

  local function begin() loop.start(failed, main) end
  local start = clock.after(0, function() loop.ready(begin) end)
  result.on_cancel = function()
    start:cancel()
    if result.timer then result.timer:cancel() end
  end
end

return inline
