"""The pocket Hub: a read-only Hugging Face Hub on loopback that serves small stand-ins.

    python -m tests.pocket_hub jupyter lab      run a command with the pocket Hub behind it
    python -m tests.pocket_hub.build bert       train a stand-in again
"""
