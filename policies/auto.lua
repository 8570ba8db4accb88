--- auto: what decides when nobody says otherwise. This page is a policy like any other: put your own policies/auto.lua in its place, or
--- name another one in the configuration: policies = { auto = "quality" }.
return require "cheapest"
