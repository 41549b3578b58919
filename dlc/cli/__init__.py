"""The command `dlc`. Each command is a file, imported when it is called: `dlc run model.so` needs no compiler."""
