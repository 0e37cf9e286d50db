-- database.lua: Isar's recipe, with SQLite: a database that isolates have open under one name. A watcher here hears of
-- what another isolate has committed, before that isolate's result arrives.
-- The tutorial's isolate opens it with another schema, which its own text forbids; here that is refused, and shown.
-- Run it:  lua5.4 examples/tutorial/database.lua
package.path = (arg[0]:match "^.*[/\\]" or "") .. "?.lua;" .. package.path

local Isolate = require "isolate"
local Store   = require "database.store"

local MessageSchema = {name = "messages", "content text"}
local PostSchema    = {name = "posts", "title text"}

local create_dummy_messages, temporary_directory       -- below
local opts = {name = "myInstance"}                     -- and the directory

local function main()
  local directory <close> = temporary_directory()
  opts.directory = directory.path

  local store <close> = Store.open({MessageSchema}, opts)
  local watcher = store:watch("messages", function()
    print "omg the messages changed!"
  end)

  Isolate.compute(create_dummy_messages, 10000):next(function()
    print "isolate finished"
    watcher:cancel()
  end)
  Isolate.loop()                                       -- until nobody watches any more
  print(store:count "messages" .. " messages")

  local other = Isolate.run(function() local _ <close> = Store.open({PostSchema}, opts) end)
  print(select(2, pcall(other.await, other)).message)
end

-- Runs in an isolate: opens the database there, and writes `count` messages in one transaction.
function create_dummy_messages(count)
  local store <close> = Store.open({MessageSchema}, opts)
  local messages = {}
  for i = 1, count do messages[i] = {content = "Message " .. i - 1} end
  store:write(function()
    store:insert_all("messages", messages)
  end)
end

-- A new directory; it is removed when it is closed.
function temporary_directory()
  local pipe <close> = assert(io.popen "mktemp -d")
  return setmetatable({path = assert(pipe:read "l")}, {
    __close = function(self) os.execute("rm -r '" .. self.path .. "'") end,
  })
end

main()

--[[ Output:
omg the messages changed!
isolate finished
10000 messages
examples/tutorial/database.lua:32: 'myInstance' was made with another schema: messages (id integer primary key, content text)
]]
