--- The remote side: what a new isolate needs of our Lua layer. C has begun its
-- function already, as the first task (boot.c); this is loaded when there is
-- more to do than to send the results.

local table = table
local loop = require "isolate.loop"

local boot = { uncaught = loop.uncaught }

--- The function, whose task is `co`, has returned (`ok`), failed (not `ok`) or
-- waits (nil); the rest are its results, the error, what it yielded. In the loop,
-- `failed` or `returned` gets what comes of it.
function boot.take_over(failed, returned, co, ok, ...)
  local values = table.pack(...)
  loop.first(function()
    if ok then
      loop.start(failed, returned, table.unpack(values, 1, values.n))
    else
      loop.adopt(co, failed, returned, ok == nil, values[1])
    end
  end)
end

--- The same, to the isolate's end. With a reply port its life is this one
-- computation; else it is what the function set going.
function boot.go_on(reply, ...)
  if reply then
    require "isolate.answer"(reply, ...)
  else
    boot.take_over(loop.uncaught, function() end, ...)
    loop.run {}
  end
  loop.out_of_work()
end

return boot
