SELECT keys_version
FROM installation
