module golive.dev/tests/world/apps/hello

go 1.24
