-- What a packaged Perilune begins with. Provider keys in their usual variables (OPENAI_API_KEY, ...) switch providers on;
-- the packages of Debian take them from /etc/perilune/environment, containers from `docker run -e`.
--
-- A save is taken up at once. All settings: /usr/share/doc/perilune/configuration.md
return {
  listen = env("PERILUNE_LISTEN", "127.0.0.1:4100"), -- beyond loopback clients need a key: PERILUNE_API_KEY, or `perilune keys make`
  admin = env("PERILUNE_ADMIN", "127.0.0.1:4101"),
}
