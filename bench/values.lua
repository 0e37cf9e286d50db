-- values.lua
-- A chunk that gets a name and returns a value for dart.lua and for its floor: "json5KB" is a table as JSON of about that
-- size decodes to, without anything shared; "tree14" a binary tree of that depth.

local name = ...

-- Something like the list of pending orders of a portfolio.
local function orders(from)
  local list = {}
  for i = 1, 2 do
    list[i] = {
      total = 487000 + i, type = "cover", subtotal = 483000 * i, price = 4.83 * i, commission = 4000,
      date = "2008-10-17 23:56:06.000", quantity = 100000, expires = "2008-10-20 16:00:00.000",
      stock = "STK" .. i, id = from + i,
    }
  end
  return list
end

local function portfolio()
  local holdings = {}
  for i = 1, 16 do
    local lots = {}
    for k = 1, 1 + i % 3 do
      lots[k] = {
        marketCap = "L", industry = "TECHNOLOGY", style = "G", buyDate = ("2008-10-15 13:%02d:%02d.000"):format(i, k),
        quantity = 8000 * k,
      }
    end
    holdings[i] = {
      type = "LONG", commission = 1040 + i, cost = 9001920.25 * i, quantity = 26000 * i, lots = lots, stock = "STK" .. i,
    }
  end
  return {
    summary = {turnover = 0.3736, correlation2 = 0.7147, concentration = 0.3652, beta = 0.8814, totalValue = 130910782.59},
    watchlist = {}, shortCash = -1611000, holdings = holdings, longCash = 46003681.06, ownerId = 8,
    pendingOrders = orders(182374), inceptionDate = "2008-04-26 04:44:29.000", withdrawals = 0, id = 219948, deposits = 0,
  }
end

-- Ten of what `make` makes, in lists of a table; or nine.
local function bundle(make, n)
  local result = {["1"] = {}, ["2"] = {}, ["3"] = {}}
  for i = 1, n do table.insert(result[i <= 4 and "1" or i <= 8 and "2" or "3"], make()) end
  return result
end

local function json50KB() return bundle(portfolio, 9) end
local function json500KB() return bundle(json50KB, 10) end

local function tree(depth)
  if depth == 0 then return {value = depth} end
  return {left = tree(depth - 1), right = tree(depth - 1), value = depth}
end

local makers = {
  nop = function() return 1 end,
  json400B = function() return orders(182374) end,
  json5KB = portfolio,
  json50KB = json50KB,
  json500KB = json500KB,
  json5MB = function() return bundle(json500KB, 10) end,
}

if makers[name] then return makers[name]() end
return tree(tonumber(name:match "^tree(%d+)$"))
