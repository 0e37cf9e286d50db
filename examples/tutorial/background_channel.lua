-- background_channel.lua: what only the main isolate has is called from others, as Flutter's plugins are: it serves an
-- object under a name, they connect to it. Flutter needs its RootIsolateToken to find the main isolate from there;
-- here a name is known in the whole process, so no token travels, and nothing must be initialized.
-- Run it:  lua5.4 examples/tutorial/background_channel.lua
local Isolate = require "isolate"

local SharedPreferences = {}                           -- the plugin
SharedPreferences.__index = SharedPreferences

local isolate_main                                     -- below

local function main()
  local preferences = setmetatable({values = {isDebug = true}}, SharedPreferences)
  local channel = Isolate.serve("shared_preferences", preferences)

  Isolate.spawn(isolate_main):join()                   -- calls are answered meanwhile
  print("here, launches:", preferences:get "launches")
  channel:cancel()                                     -- nobody is served any more
end

-- Runs in the isolate. Calls return Futures; their errors are those of over there.
function isolate_main()
  local preferences = Isolate.connect "shared_preferences"
  print("isDebug:", preferences:get("isDebug"):await())
  print("runs in a main isolate:", preferences:runs_in_main():await(), "and this one:", Isolate.is_main)
  preferences:set("launches", 1):await()

  local ok, err = pcall(function() return preferences:erase():await() end)
  print(ok, err.message)
  ok, err = pcall(Isolate.connect, "firestore")
  print(ok, err)
end

function SharedPreferences:get(key) return self.values[key] end
function SharedPreferences:set(key, value) self.values[key] = value end
function SharedPreferences:runs_in_main() return Isolate.is_main end

main()

--[[ Output:
isDebug:	true
runs in a main isolate:	true	and this one:	false
false	service 'shared_preferences' has no method 'erase'
false	nobody serves 'firestore'
here, launches:	1
]]
