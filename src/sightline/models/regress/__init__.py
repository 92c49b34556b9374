"""Say a number that a picture has, such as an age or a weight."""
