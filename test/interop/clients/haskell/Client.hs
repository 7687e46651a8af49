{-# LANGUAGE OverloadedStrings #-}
{-# LANGUAGE ScopedTypeVariables #-}

-- | The client of Haskell's websockets, and the cases that every client program goes through.
module Main (main) where

import Control.Concurrent.MVar
import Control.Exception
import Control.Monad
import Data.Bits (shiftR)
import qualified Data.ByteString.Lazy as B
import qualified Data.ByteString.Lazy.Char8 as BC
import Data.Text.Lazy (Text)
import qualified Data.Text.Lazy.Encoding as T
import qualified Network.WebSockets as WS
import System.Environment (getArgs)
import System.IO

text :: Text
text = "Grüße, 你好, 👋"

cannot :: [(String, String)]
cannot = [("fragments", "it sends whole messages"), ("compressed", "it offers no extensions")]

quote :: B.ByteString -> B.ByteString
quote t = "\"" <> BC.concatMap escape t <> "\""
  where
    escape c | c `elem` ("\"\\" :: String) = BC.pack ['\\', c]
             | c == '\n' = " "
             | otherwise = BC.singleton c

tell :: String -> B.ByteString -> IO ()
tell name outcome = B.putStr ("{\"case\":" <> quote (BC.pack name) <> outcome <> "}\n") >> hFlush stdout

expect :: WS.Connection -> WS.DataMessage -> IO ()
expect connection message = do
  answer <- WS.receiveDataMessage connection
  unless (same answer message) $ throwIO (userError "another answer")
  where
    same (WS.Text a _) (WS.Text b _) = a == b
    same (WS.Binary a) (WS.Binary b) = a == b
    same _ _ = False

-- | The end: what the server's Close frame had.
closed :: WS.Connection -> IO B.ByteString
closed connection = (WS.receiveDataMessage connection >> pure ",\"error\":\"a message instead of the end\"") `catch` \e -> case e of
  WS.CloseRequest code reason -> pure (",\"code\":" <> BC.pack (show code) <> ",\"reason\":" <> quote reason)
  other -> throwIO other

end :: WS.Connection -> IO B.ByteString
end connection = WS.sendClose connection ("" :: Text) >> closed connection >> pure ""

main :: IO ()
main = do
  [url] <- getArgs
  let port = read (reverse (takeWhile (/= ':') (reverse url)))
      txt t = WS.Text (T.encodeUtf8 t) (Just t)
      bytes = B.pack [0 .. 255]
      large = B.pack [fromIntegral (i * 7 + i `shiftR` 8) | i <- [0 .. 299999 :: Int]]
      digits = WS.Text (B.take 300000 (BC.cycle "0123456789")) Nothing

      attempt name act = case lookup name cannot of
        Just reason -> tell name (",\"cannot\":" <> quote (BC.pack reason))
        Nothing -> do
          pong <- newEmptyMVar
          let options = WS.defaultConnectionOptions { WS.connectionOnPong = void (tryPutMVar pong ()) }
          outcome <- try (WS.runClientWith "127.0.0.1" port ('/' : name) options [] (act pong))
          case outcome of
            Right result -> tell name result
            Left (e :: SomeException) -> case fromException e of
              Just (WS.MalformedResponse response _) -> tell name (",\"status\":" <> BC.pack (show (WS.responseCode response)))
              _ -> tell name (",\"error\":" <> quote (BC.pack (show e)))

      echo messages _ connection = do
        forM_ messages $ \message -> WS.sendDataMessage connection message >> expect connection message
        end connection

  attempt "text" (echo [txt text])
  attempt "binary" (echo [WS.Binary bytes])
  attempt "empty" (echo [txt "", WS.Binary ""])
  attempt "large" (echo [WS.Binary large])
  attempt "fragments" (\_ _ -> pure "")
  forM_ ["fragmented", "cut"] $ \name -> attempt name $ \_ connection -> do
    expect connection (txt text)
    WS.sendDataMessage connection (txt text)
    end connection
  attempt "compressed" (echo [digits, WS.Binary large, digits])
  -- A Pong is taken while something is received; its payload is not told.
  attempt "ping" $ \pong connection -> do
    WS.sendPing connection ("ping" :: Text)
    WS.sendTextData connection ("after the Ping" :: Text)
    _ <- WS.receiveDataMessage connection
    takeMVar pong
    end connection
  attempt "pong" $ \_ connection -> expect connection (txt "ponged are you there?") >> end connection
  attempt "close" $ \_ connection -> WS.sendCloseCode connection 4001 ("bye, 世界" :: Text) >> closed connection
  attempt "closed" (const closed)
  forM_ ["401", "403", "503"] $ \status -> attempt ("refused/" <> status) (\_ _ -> pure ",\"error\":\"it was not refused\"")
