--- A stream that many may listen to: what `as_broadcast` makes of one.

local ipairs, setmetatable, table = ipairs, setmetatable, table
local buffer = require "isolate.buffer"
local core = require "isolate.core"
local loop = require "isolate.loop"
local listen = require "isolate.listen"

local check_self, check_free = core.check_stream, core.check_free
local pull_next = require "isolate.stream".pull_next

---@class isolate.BroadcastStream : isolate.Stream
local Broadcast = core.stream "isolate.Stream"

-- One listener's share of a broadcast.
local Tap = core.stream "isolate.Stream"
Tap.pull, Tap.look, Tap.pass_to = buffer.pull, buffer.look, buffer.pass_to

function Tap:close()
  buffer.close(self)
  local taps = self.broadcast.taps
  for i = 1, #taps do
    if taps[i] == self then
      table.remove(taps, i)
      return
    end
  end
end

Tap.__close = Tap.close

-- Gives all values to all taps, until the source is closed.
local function spread(self)
  local got, value = pull_next(self.source)
  while got do
    for _, tap in ipairs { table.unpack(self.taps) } do tap:add(value) end
    got, value = pull_next(self.source)
  end
  self.closed = true
  while self.taps[1] do self.taps[1]:close() end
end

function Broadcast:reader()
  local tap = setmetatable(buffer.fill { broadcast = self }, Tap)
  self.taps[#self.taps + 1] = tap
  if self.closed then
    tap:close()
  elseif not self.started then
    self.started = true
    loop.ready(function() loop.start(loop.uncaught, spread, self) end)
  end
  return tap
end

function Broadcast:pull(timeout)
  local tap <close> = self:reader()
  return tap:pull(timeout)
end

function Broadcast:listen(on_message, opts)
  check_free(self, "listen")
  listen.check(on_message, opts)
  return self:reader():listen(on_message, opts)
end

--- The next value; the others go on.
function Broadcast:first()
  check_free(self, "first")
  return self:reader():first()
end

function Broadcast:messages()
  check_free(self, "messages")
  local tap = self:reader()
  return tap:messages(), nil, nil, tap
end

function Broadcast:as_broadcast()
  check_free(self, "as_broadcast")
  return self
end

--- Closes the stream that it is made from, for all.
function Broadcast:close()
  check_self(self, "close")
  self.source:close()
end

Broadcast.__close = Broadcast.close

--- A broadcast of `source`, which nobody else consumes.
return function(source) return setmetatable({ source = source, taps = {}, started = false }, Broadcast) end
