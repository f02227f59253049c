"""The processes of one instance, the embedded Redis among them: started, watched and stopped together."""
