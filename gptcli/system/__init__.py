"""What gptcli asks of the machine it runs on. Start with ``cache_folder``: where it may keep what it can make again."""
