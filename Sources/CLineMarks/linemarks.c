#include "linemarks.h"
