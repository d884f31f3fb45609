<?php
// One request of a session: counts up, and prints the number.
session_id('visitor');
if (!session_start()) {
    exit(1);
}
$_SESSION['count'] = ($_SESSION['count'] ?? 0) + 1;
usleep(10000);
echo $_SESSION['count'], "\n";
