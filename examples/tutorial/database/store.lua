-- store.lua
-- A small database for examples/tutorial/database.lua: collections of objects in an SQLite file, which any number of
-- isolates have open under one name, each by a connection of its own; and watchers, who hear of what each of them commits.
--
-- Temporary triggers note what a writer changes; a rollback takes the notes back. They are read before the commit and
-- broadcast after it, so nobody hears of what cannot be read yet. A writer that is killed between the two leaves a commit
-- that nobody hears of.

local Isolate = require "isolate"
local sqlite  = require "luasql.sqlite3"

local Store = {__name = "Store"}
Store.__index = Store

local PATIENCE <const> = 10000                         -- milliseconds to wait for other writers

local stores = {}                                      -- path → the Store that this isolate has open

------------------------------------------------------------------------------
-- Statements

-- Runs one statement. Returns its rows as a list; raises SQLite's errors.
function Store:execute(statement)
  local cursor, rows = assert(self.connection:execute(statement)), {}
  if type(cursor) == "number" then return rows end     -- no rows, but how many were changed
  local row = cursor:fetch({}, "a")
  while row do
    rows[#rows + 1] = row
    row = cursor:fetch({}, "a")
  end
  return rows
end

-- Calls fn() between a begin and a commit; if one fails, there is a rollback, and the error goes on.
-- The transaction is the isolate's: fn must not wait.
local function transaction(self, fn)
  self:execute "begin immediate"                       -- SQLite waits for its turn here, and nowhere later
  local ok, err = pcall(function()
    fn()
    self:execute "commit"
  end)
  if ok then return end
  self.connection:execute "rollback"
  error(err, 0)
end

-- A number or a string, as SQL.
local function quote(self, value)
  if type(value) == "number" then return tostring(value) end
  return "'" .. self.connection:escape(value) .. "'"
end

------------------------------------------------------------------------------
-- Opening

-- The collections of schemas like {name = "messages", "content text"}, as SQL, and as one text that tells them from others.
local function as_sql(schemas)
  local collections = {}
  for i, schema in ipairs(schemas) do
    collections[i] = ("%s (id integer primary key, %s)"):format(schema.name, table.concat(schema, ", "))
  end
  table.sort(collections)
  return collections, table.concat(collections, ", ")
end

-- Makes the collections if the file is new. Returns the text of those it was made with.
local function create(self, collections, text)
  local made
  transaction(self, function()
    self:execute "create table if not exists store_schema (text text)"
    made = self:execute("select text from store_schema")[1]
    if made then return end
    self:execute(("insert into store_schema values (%s)"):format(quote(self, text)))
    for _, collection in ipairs(collections) do self:execute("create table " .. collection) end
  end)
  return made and made.text or text
end

-- From now on what this connection changes is noted, each object once.
local function note_changes(self, schemas)
  self:execute "create temp table changes (collection text, id integer, unique (collection, id))"
  for _, schema in ipairs(schemas) do
    for event, row in pairs {insert = "new", update = "new", delete = "old"} do
      self:execute(([[create temp trigger %s_%s after %s on main.%s
        begin insert or ignore into changes values ('%s', %s.id); end]])
        :format(schema.name, event, event, schema.name, schema.name, row))
    end
  end
end

-- Readers and a writer shall not wait for each other. Where several ask for this at the same time, SQLite lets one have it
-- and refuses the others at once: they wait in a transaction, and ask again.
local function write_ahead(self)
  local ok, err
  for _ = 1, 10 do
    ok, err = pcall(self.execute, self, "pragma journal_mode = wal")
    if ok then return end
    transaction(self, function() end)
  end
  error(err, 0)
end

local function connect(path, schemas)
  local environment = sqlite.sqlite3()
  local self = setmetatable({
    path = path, environment = environment,
    connection = assert(environment:connect(path, PATIENCE)),
    commits = Isolate.Broadcast("commits of " .. path),
  }, Store)
  local ok, err = pcall(function()
    write_ahead(self)
    local collections, text = as_sql(schemas)
    self.schema = create(self, collections, text)
    if self.schema == text then note_changes(self, schemas) end
  end)
  if not ok then
    self:close()
    error(err, 0)
  end
  return self
end

-- Opens the Store `opts.name` (or "default") in the folder `opts.directory`, new or not. Within an isolate the same name
-- gives the same Store until it is closed. Raises if it was made with other schemas.
function Store.open(schemas, opts)
  local name = opts.name or "default"
  local path = opts.directory .. "/" .. name .. ".sqlite"
  local self = stores[path] or connect(path, schemas)
  local _, text = as_sql(schemas)
  if self.schema ~= text then
    if not stores[path] then self:close() end
    error(("'%s' was made with another schema: %s"):format(name, self.schema), 2)
  end
  stores[path] = self
  return self
end

-- Closes it for this isolate, with its watchers. Closing twice is fine.
function Store:close()
  if not self.connection then return end
  self.commits:close()
  self.connection:close()
  self.environment:close()
  self.connection = nil
  if stores[self.path] == self then stores[self.path] = nil end
end

Store.__close = Store.close                            -- what can be closed cannot be sent

------------------------------------------------------------------------------
-- Writing and watching

-- What was changed in this transaction: collection → list of ids.
local function take_changes(self)
  local changes = {}
  for _, change in ipairs(self:execute "select collection, id from changes order by rowid") do
    local ids = changes[change.collection] or {}
    changes[change.collection] = ids
    ids[#ids + 1] = change.id
  end
  self:execute "delete from changes"
  return changes
end

-- Calls fn() in a transaction, and tells the watchers once it is committed. fn must not wait.
function Store:write(fn)
  local changes
  transaction(self, function()
    fn()
    changes = take_changes(self)
  end)
  self.commits:send(changes)
end

-- Calls on_change(ids) here for each commit, in whatever isolate, that changed objects of `collection`.
-- Returns a subscription, to be cancelled.
function Store:watch(collection, on_change)
  return self.commits:listen(function(changes)
    if changes[collection] then on_change(changes[collection]) end
  end)
end

-- Inserts a list of objects.
function Store:insert_all(collection, objects)
  for _, object in ipairs(objects) do
    local names, values = {}, {}
    for name, value in pairs(object) do
      names[#names + 1] = name
      values[#values + 1] = quote(self, value)
    end
    self:execute(("insert into %s (%s) values (%s)")
      :format(collection, table.concat(names, ", "), table.concat(values, ", ")))
  end
end

function Store:count(collection)
  return math.tointeger(self:execute("select count(*) as n from " .. collection)[1].n)
end

return Store
