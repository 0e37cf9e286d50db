--- Streams: values that come one after the other. A ReceivePort is one, and
-- what `map`, `where`, `take` and `as_broadcast` make of it.
--
-- A kind of stream says how a value is taken out of it:
--   pull(self, timeout)  waits for the next: true, value; or false, and
--                        "closed", "timeout", or "stuck" (nothing is left that
--                        could send one)
--   reader(self)         whose `pull` one consumer is to use
--   close(self)
--   listen(self, on_message, opts)
-- and has `receive`, `messages` and the rest from here.

local error, ipairs, require = error, ipairs, require
local core = require "isolate.core"

local stream = {}

---@class isolate.Stream
local Stream = {}

local kinds = {}                -- the classes of streams

--- Makes the class of a kind of stream.
function stream.kind(name)
  local class = { __name = name, __transfer = false }
  for key, value in pairs(Stream) do class[key] = value end
  class.__index = class
  kinds[class] = true
  return class
end

local function check_self(self, name, level)
  if not kinds[getmetatable(self)] then
    require "isolate.errors".bad_self("ReceivePort", self, name, level or 3)
  end
end

-- Raises if somebody listens to it already, or to what it is made from.
local function check_free(self, name)
  core.check()
  check_self(self, name, 4)
  local it = self
  while it and not it.taps do
    if it.claimed then
      error("bad use of '" .. name .. "': somebody listens to this port already", 3)
    end
    it = it.source
  end
end

-- One consumer has it, and what it is made from (nil: not any more). A broadcast
-- is for all.
local function claim(self, claimed)
  if self.taps then return end
  self.claimed = claimed
  if self.source then claim(self.source, claimed) end
end

--- Is it a stream?
function stream.is(value) return kinds[getmetatable(value)] ~= nil end

-- For the other rooms of streams.
stream.check_self, stream.check_free, stream.claim = check_self, check_free, claim

------------------------------------------------------------------------------
-- What all streams have

--- Waits for the next value, as `await` does. Returns it; or nil, "timeout"; or
-- nil, "closed". Those who wait are served in the order they came.
---@param timeout number?  seconds; 0 takes what is there
---@return any value, string? why
function Stream:receive(timeout)
  check_free(self, "receive")
  if timeout ~= nil then require "isolate.errors".check_number(timeout, 1, "receive") end
  local got, value = self:pull(timeout)
  if got then return value end
  if value == "stuck" then error("nothing can come to this port", 2) end
  return nil, value
end

--- `for i, value in stream:messages() do`, until it is closed; `i` counts from
-- 1, so that nil values pass. Leaving the loop leaves the stream open.
function Stream:messages()
  check_free(self, "messages")
  local i = 0
  return function()
    local got, value = self:pull()
    i = i + 1
    if got then return i, value end
    if value == "stuck" then error("nothing can come to this port", 2) end
  end
end

function Stream:reader() return self end

-- What few use is loaded when it is first used.
for _, name in ipairs { "as_broadcast", "first", "map", "take", "where" } do
  Stream[name] = function(...) return require "isolate.stream_methods"[name](...) end
end

return stream
