--- Services: objects of one isolate whose methods all isolates can call.

local string = string
local core = require "isolate.core"
local errors = require "isolate.errors"
local request = require "isolate.request"

local service = {}

local PREFIX = "service "

------------------------------------------------------------------------------
-- The one who serves

---@class isolate.Serving
local Serving = { __name = "isolate.Serving", __transfer = false }
Serving.__index = Serving

--- The name is free again; calls that come from now on fail.
function Serving:cancel()
  if getmetatable(self) ~= Serving then errors.bad_self("Serving", self, "cancel", 2) end
  if self.cancelled then return end
  self.cancelled = true
  core.port_closed(self.port.id)
  self.port:unref()
end

Serving.__close = Serving.cancel

--- Lets all isolates call the methods of `object`, each call as a task here,
-- and keeps this isolate alive until it is cancelled. Raises if the name is
-- taken.
---@param name string
---@param object table|userdata
---@return isolate.Serving
function service.serve(name, object)
  errors.check_string(name, 1, "serve")
  if type(object) ~= "table" and type(object) ~= "userdata" then
    errors.expected("table", object, 2, "serve", 2)
  end
  local key = PREFIX .. name
  local self = setmetatable({ port = false, cancelled = false }, Serving)
  self.port = request.serve(function(method, ...)
    if self.cancelled then error("'" .. name .. "' is not served any more", 0) end
    local fn = object[method]
    if type(fn) ~= "function" then
      error("service '" .. name .. "' has no method '" .. method .. "'", 0)
    end
    return fn(object, ...)
  end)
  local ok, added = pcall(core.name_add, key, self.port.send_port, true)
  if ok and added then return self end
  self.port:close()
  if not ok then error(added, 0) end
  error("bad argument #1 to 'serve' ('" .. name .. "' is served already)", 2)
end

------------------------------------------------------------------------------
-- Those who call

---@class isolate.Proxy
local Proxy = { __name = "isolate.Proxy" }

-- name and port of each proxy: any name may be that of a method
local known = setmetatable({}, { __mode = "k" })

--- The proxy of the service at `send_port`.
function service.proxy(name, send_port)
  local self = setmetatable({}, Proxy)
  known[self] = { name = name, port = send_port }
  return self
end

function Proxy:__transfer()
  local it = known[self]
  return service.proxy, it.name, it.port
end

function Proxy:__tostring() return "isolate.Proxy: " .. known[self].name end

function Proxy.__eq(a, b)
  return known[a] ~= nil and known[b] ~= nil and known[a].port == known[b].port
end

function Proxy:__index(method)
  if type(method) ~= "string" then return nil end
  local it = known[self]
  local lost = "the isolate that served '" .. it.name .. "' has ended"
  local function call(this, ...)
    if not rawequal(this, self) then
      error(string.format("bad argument #1 to '%s' (a method of a service is called as"
        .. " service:%s(...))", method, method), 2)
    end
    local parcel = request.pack(2, "method", method, ...)
    return request.call(it.port, { parcel = parcel }, lost)
  end
  rawset(self, method, call)
  return call
end

--- The service of that name: its methods return Futures. Raises if nobody
-- serves it. When its isolate ends, calls that wait, and later ones, fail.
---@param name string
---@return isolate.Proxy
function service.connect(name)
  errors.check_string(name, 1, "connect")
  local send_port = core.name_find(PREFIX .. name)
  if not send_port then error("nobody serves '" .. name .. "'", 2) end
  return service.proxy(name, send_port)
end

return service
