-- own_memory.lua: a global and a field of an object, changed here after two isolates were started: they see neither
-- change. Dart starts an isolate's globals afresh and copies objects; here both are copies, made at the spawn.
-- Run it:  lua5.4 examples/tutorial/own_memory.lua      (fractions of a second where the tutorial waits for two)
local Isolate = require "isolate"

top_data = "hello"                                     -- a global

local MyApp = {}
MyApp.__index = MyApp

local function main()
  local app = setmetatable({class_data = "hello"}, MyApp)
  app:on_press()
end

local function my_isolate1(arg)
  Isolate.Future.delayed(0.1, function()
    print(("in myIsolate1... %d, %s"):format(arg, top_data))
  end)
end

function MyApp:my_isolate2(arg)
  Isolate.Future.delayed(0.3, function()
    print(("in myIsolate2... %d, %s, %s"):format(arg, top_data, self.class_data))
  end)
end

function MyApp:on_press()
  print(("onPress... before run isolate.. topData: %s, classData: %s"):format(top_data, self.class_data))
  local one = Isolate.spawn(my_isolate1, 10)
  local two = Isolate.spawn(function(arg) self:my_isolate2(arg) end, 20)  -- `self` goes along
  top_data = "world"
  self.class_data = "world"
  print(("onPress... after run isolate.. topData: %s, classData: %s"):format(top_data, self.class_data))
  one:join()                                           -- a program's end would end them
  two:join()
end

main()

--[[ Output:
onPress... before run isolate.. topData: hello, classData: hello
onPress... after run isolate.. topData: world, classData: world
in myIsolate1... 10, hello
in myIsolate2... 20, hello, hello
]]
